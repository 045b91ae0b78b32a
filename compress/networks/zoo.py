"""The zoo's one registry, and the spelling under which recipes and packed files name a network of it.

A spelling is the family's name, with the options that differ from their defaults
in brackets, in alphabetical order: `lenet-5`, `lenet-5(activation=tanh,pool=average)`.
The options of a family are the keywords of its function, whose annotations say
what they take.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from compress.errors import UsageError
from compress.names import known_name
from compress.networks.layers import Network
from compress.networks.lenet_5 import lenet_5
from compress.networks.lenet_5_caffe import lenet_5_caffe
from compress.networks.lenet_300_100 import lenet_300_100
from compress.networks.vgg_lite import vgg_lite

__all__ = ["NETWORKS", "describe", "options_of", "parse", "spell"]

NETWORKS: Mapping[str, Callable[..., Network]] = MappingProxyType(
    {
        "lenet-5": lenet_5,
        "lenet-5-caffe": lenet_5_caffe,
        "lenet-300-100": lenet_300_100,
        "vgg-lite": vgg_lite,
    }
)
"""Family → the function that describes it; its keywords, all with a default, are the options of the spelling."""

_MAX_NUMBER = 1 << 16
_SPELLING = re.compile(r"([a-z0-9-]+)(?:\(([^()]*)\))?", re.ASCII)
_PAIR = re.compile(r"([a-z0-9_]+)=([a-z0-9.]+)", re.ASCII)


def parse(spelling: str) -> tuple[str, dict[str, Any]]:
    """Read a spelling: the family and the options that are written, each as the type it has.

    >>> parse("lenet-5(pool=average,dropout=0.5)")
    ('lenet-5', {'pool': 'average', 'dropout': 0.5})

    Raises
    ------
    UsageError
        An unknown family, option or value, an option twice, or another form.
    """
    match = _SPELLING.fullmatch(spelling)
    family = known_name("network", match[1] if match else spelling, NETWORKS)
    options: dict[str, Any] = {}
    if match is None or match[2] is None:
        return family, options
    types = options_of(family)
    for text in match[2].split(","):
        pair = _PAIR.fullmatch(text)
        if pair is None or pair[1] in options:
            raise UsageError(
                f"network: found {text!r} in {spelling!r}, allowed option=value, each option once, "
                f"from {', '.join(sorted(types))}"
            )
        key = known_name(f"network: {family}, option", pair[1], sorted(types))
        options[key] = _value(family, key, pair[2], types[key])
    return family, options


def spell(family: str, options: Mapping[str, Any]) -> str:
    """The one spelling of a family with these options; those at their default are left out.

    >>> spell("lenet-5", {"pool": "average", "classes": 10, "activation": "tanh"})
    'lenet-5(activation=tanh,pool=average)'
    """
    signature = inspect.signature(NETWORKS[family]).parameters
    changed = sorted(key for key, value in options.items() if value != signature[key].default)
    pairs = ",".join(f"{key}={_text(options[key])}" for key in changed)
    return f"{family}({pairs})" if pairs else family


@lru_cache(maxsize=64)
def describe(spelling: str) -> Network:
    """The network of a spelling; its name is the spelling in its one form.

    Raises
    ------
    UsageError
        See `parse`; or the options do not go together.
    """
    family, options = parse(spelling)
    return replace(NETWORKS[family](**options), name=spell(family, options))


def options_of(family: str) -> dict[str, Any]:
    """Name and annotation of every option of a family."""
    hints = get_type_hints(NETWORKS[family])
    return {key: hints[key] for key in inspect.signature(NETWORKS[family]).parameters}


def _value(family: str, key: str, text: str, kind: Any) -> Any:
    where = f"network: {family}, {key}"
    if get_origin(kind) is Literal:
        return known_name(where, text, get_args(kind))
    if kind is bool:
        return known_name(where, text, ("true", "false")) == "true"
    if kind is int:
        if not re.fullmatch("[1-9][0-9]{0,5}", text) or int(text) > _MAX_NUMBER:
            raise UsageError(f"{where}: found {text!r}, allowed a whole number from 1 to {_MAX_NUMBER}")
        return int(text)
    if not re.fullmatch(r"0(\.[0-9]{1,6})?", text):
        raise UsageError(f"{where}: found {text!r}, allowed a fraction from 0 to below 1, such as 0.5")
    return float(text)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
