"""Sizes in bytes as people write them."""

import re

from compress.errors import UsageError

__all__ = ["parse_size"]

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}


def parse_size(text: str, what: str = "target-size") -> int:
    """Bytes of a size such as `8kB`, `7.5 kB`, `900`, `1MB`, `4KiB`.

    >>> parse_size("8kB"), parse_size("4KiB"), parse_size("900")
    (8000, 4096, 900)

    Parameters
    ----------
    text : str
    what : str
        What an error calls it.

    Raises
    ------
    UsageError
        Another form, or less than one byte.
    """
    match = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].lower() not in _UNITS or float(match[1]) * _UNITS[match[2].lower()] < 1:
        raise UsageError(f"{what}: found {text!r}, allowed a size such as 8kB, 4KiB or 900")
    return int(float(match[1]) * _UNITS[match[2].lower()])
