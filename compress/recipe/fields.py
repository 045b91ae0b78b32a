"""What the fields of a recipe are made of: numbers by layer, registered names, patterns; each checks itself."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from compress.errors import UsageError
from compress.names import known_name
from compress.representation import MAX_BITS

__all__ = [
    "Epochs",
    "LearningRate",
    "by_layer",
    "check_bits",
    "check_pattern",
    "in_one_form",
    "one_of",
    "parse_bits",
    "parse_by_layer",
    "within",
]

_Number = TypeVar("_Number", int, float)

Epochs = Annotated[int, Field(ge=0, le=10_000)]
LearningRate = Annotated[float, Field(gt=0, le=100)]


def parse_bits(value: Any) -> Any:
    """Read bits from a number, a mapping, or the command line's form `5`, `conv=8,fc=5`, `5,c1=8`.

    >>> parse_bits("5"), parse_bits("conv=8,fc=5"), parse_bits("5,c1=8")
    ({'default': 5}, {'conv': 8, 'fc': 5}, {'default': 5, 'c1': 8})
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    bits: dict[str, int] = {}
    for part in str(value).split(","):
        key, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals:
            key, number = "default", key
        if not key or key in bits or not number.isdecimal():
            raise ValueError(f"found {value!r}, allowed a number, or layer=number pairs such as conv=8,fc=5")
        bits[key] = int(number)
    return bits


def check_bits(bits: dict[str, int]) -> dict[str, int]:
    """Return a copy, or raise `ValueError` for the first number of bits that no code can have."""
    for key, number in bits.items():
        if not 1 <= number <= MAX_BITS:
            where = "" if key == "default" else f" for {key}"
            raise ValueError(f"found {number}{where}, allowed 1 to {MAX_BITS}")
    return dict(bits)


def parse_by_layer(value: Any) -> Any:
    """Read numbers by layer from a number, a mapping, or the command line's form `0.5`, `conv=0.5,f6=0.95`.

    >>> parse_by_layer("conv=0.5,f6=0.95"), parse_by_layer(1.5)
    ({'conv': 0.5, 'f6': 0.95}, {'default': 1.5})
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    numbers: dict[str, float] = {}
    for part in str(value).split(",") if value != "" else ():
        key, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals:
            key, number = "default", key
        try:
            parsed = float(number)
        except ValueError:
            parsed = None
        if not key or key in numbers or parsed is None:
            raise ValueError(f"found {value!r}, allowed a number, or layer=number pairs such as conv=0.5,f6=0.95")
        numbers[key] = parsed
    return numbers


def within(low: float, high: float) -> Callable[[dict[str, float]], dict[str, float]]:
    """The check that numbers by layer are at least `low` and below `high`; it raises `ValueError`."""

    def check(numbers: dict[str, float]) -> dict[str, float]:
        for key, number in numbers.items():
            if not low <= number < high:
                raise ValueError(f"found {number:g} for {key}, allowed at least {low:g} and below {high:g}")
        return dict(numbers)

    return check


def check_pattern(text: str) -> str:
    """Return N:M, or nothing, as it is; raise `ValueError` for anything else."""
    kept, colon, group = text.partition(":")
    if text and not (colon and kept.isdecimal() and group.isdecimal() and 0 < int(kept) < int(group) <= 64):
        raise ValueError(f"found {text!r}, allowed N:M with 0 < N < M, M at most 64, such as 2:4")
    return text


def one_of(registry: Iterable[str]) -> Callable[[str], str]:
    """The check that a name stands in a registry; it raises `ValueError` with the nearest one."""
    return in_one_form("", lambda name: known_name("", name, registry))


def in_one_form(field: str, canonical: Callable[[str], str]) -> Callable[[str], str]:
    """The check that turns a name into its one form; the `UsageError` of `canonical` becomes a `ValueError`."""

    def check(name: str) -> str:
        try:
            return canonical(name)
        except UsageError as error:
            raise ValueError(str(error).removeprefix(f"{field}: ")) from error

    return check


def by_layer(numbers: Mapping[str, _Number], name: str, shape: tuple[int, ...], default: _Number) -> _Number:
    """What stands under a layer's name, else under its kind (conv or fc), else under `default`, else the default."""
    kind = "conv" if len(shape) > 2 else "fc"
    return numbers.get(name.removesuffix(".weight"), numbers.get(kind, numbers.get("default", default)))
