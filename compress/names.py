"""Looking up names that a user gave: in the list, or an error that names the nearest."""

from collections.abc import Iterable
from difflib import get_close_matches

from compress.errors import UsageError

__all__ = ["known_layers", "known_name"]


def known_name(what: str, name: str, allowed: Iterable[str]) -> str:
    """Return `name`, or raise `UsageError` that names the nearest of `allowed`."""
    choices = list(allowed)
    if name in choices:
        return name
    near = get_close_matches(name, choices, n=1)
    hint = f", nearest: {near[0]}" if near else ""
    raise UsageError(f"{what}: found {name!r}, allowed {', '.join(choices)}{hint}")


def known_layers(what: str, layers: Iterable[str], weights: Iterable[str]) -> None:
    """Raise `UsageError` for a layer that is none of these weights', nor a kind of layer, nor the default."""
    allowed = [*(name.removesuffix(".weight") for name in weights), "conv", "fc", "default"]
    for layer in layers:
        known_name(f"{what}, layer", layer, allowed)
