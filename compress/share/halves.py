"""Centroids and biases in half precision: half the bytes, where it does no harm."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_half", "halved", "halved_unnoticed"]

_PRECISION = 2.0**-11
"""Largest relative error of rounding a normal number to half precision."""

_UNNOTICED = 1 / 16
"""Part of the way to the next centroid by which one may move: at a sixteenth, hardly a weight changes sides."""


def as_half(array: NDArray[np.float32]) -> NDArray[np.float16]:
    """Rounded to half precision; infinite where a value is beyond its range."""
    with np.errstate(over="ignore"):
        return array.astype(np.float16)


def halved(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to half precision, unless a value is beyond its range.

    >>> halved(np.array([0.1, 1.0], np.float32)).tolist(), halved(np.array([0.5, 1e6], np.float32)).tolist()
    ([0.0999755859375, 1.0], [0.5, 1000000.0])
    """
    rounded = as_half(array).astype(np.float32)
    return rounded if np.isfinite(rounded).all() else array


def halved_unnoticed(centroids: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ascending centroids rounded to half precision, unless one would move noticeably.

    That is by more than the precision of its own magnitude and a sixteenth of the way to the next centroid.
    """
    half = as_half(centroids).astype(np.float32)
    allowed = _PRECISION * np.abs(centroids)
    if centroids.size > 1:
        spaces = np.diff(centroids, prepend=-np.inf, append=np.inf)
        allowed = np.maximum(allowed, _UNNOTICED * np.minimum(spaces[:-1], spaces[1:]))
    return half if (np.abs(half - centroids) <= allowed).all() else centroids
