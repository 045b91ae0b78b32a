"""Names with options, such as `lenet-5(pool=average)`: read without evaluating anything, and written in one form.

The options of a name are the keyword-only parameters of the function that its
registry holds; their annotations say what they take: a Literal, bool, int or
float. In the one form, options are sorted, and those at their default left out.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from compress.errors import UsageError
from compress.names import known_name

__all__ = ["defaults_of", "parse", "spell"]

_MAX_NUMBER = 1 << 16  # compress/packed/FORMAT.md, section 10
_SPELLING = re.compile(r"([a-z0-9-]+)(?:\(([^()]*)\))?", re.ASCII)
_PAIR = re.compile(r"([a-z0-9_]+)=([a-z0-9.]+)", re.ASCII)


def parse(what: str, text: str, registry: Mapping[str, Callable[..., object]]) -> tuple[str, dict[str, Any]]:
    """Read a name of `registry` and the options that are written, each as the type it has.

    Parameters
    ----------
    what : str
        What is named, for the errors.
    text : str
    registry : mapping of str to callable

    Raises
    ------
    UsageError
        An unknown name, option or value, an option twice, or another form.
    """
    match = _SPELLING.fullmatch(text)
    name = known_name(what, match[1] if match else text, registry)
    options: dict[str, Any] = {}
    if match is None or match[2] is None:
        return name, options
    hints = get_type_hints(registry[name])
    allowed = sorted(defaults_of(registry[name]))
    if not allowed:
        raise UsageError(f"{what}: found {text!r}, allowed {name!r}, which has no options")
    for part in match[2].split(","):
        pair = _PAIR.fullmatch(part)
        if pair is None or pair[1] in options:
            raise UsageError(
                f"{what}: found {part!r} in {text!r}, allowed option=value, each option once, from {', '.join(allowed)}"
            )
        key = known_name(f"{what}: {name}, option", pair[1], allowed)
        options[key] = _value(f"{what}: {name}, {key}", pair[2], hints[key])
    return name, options


def spell(name: str, options: Mapping[str, Any], registry: Mapping[str, Callable[..., object]]) -> str:
    """The one form of a name of `registry` with these options."""
    defaults = defaults_of(registry[name])
    pairs = ",".join(f"{key}={_text(options[key])}" for key in sorted(options) if options[key] != defaults[key])
    return f"{name}({pairs})" if pairs else name


def defaults_of(function: Callable[..., object]) -> dict[str, Any]:
    """Name and default of every option of a registered function.

    >>> def vgg(*, classes: int = 10, dropout: float = 0.3): ...
    >>> defaults_of(vgg)
    {'classes': 10, 'dropout': 0.3}
    """
    parameters = inspect.signature(function).parameters
    return {key: value.default for key, value in parameters.items() if value.kind is value.KEYWORD_ONLY}


def _value(where: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        return known_name(where, text, get_args(kind))
    if kind is bool:
        return known_name(where, text, ("true", "false")) == "true"
    if kind is int:
        if not re.fullmatch("0|[1-9][0-9]{0,5}", text) or int(text) > _MAX_NUMBER:
            raise UsageError(f"{where}: found {text!r}, allowed a whole number from 0 to {_MAX_NUMBER}")
        return int(text)
    if not re.fullmatch(r"0(\.[0-9]{1,6})?", text):
        raise UsageError(f"{where}: found {text!r}, allowed a fraction from 0 to below 1, such as 0.5")
    return float(text)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
