"""How the values of a tensor that nobody retrains are rounded to codes: one method a function, listed in ROUNDINGS."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.elements import Element
from compress.representation import Codebook, Grid
from compress.share.halves import halved_unnoticed
from compress.share.k_means import assign, cluster

__all__ = ["ROUNDINGS", "Rounding"]

_SAMPLE = 1 << 20
"""Values from which k-means finds its centroids: a million place 256 to a thousandth of their distance."""

_CHUNK = 1 << 20
"""Elements taken at a time, so that what is computed beside them stays at some megabytes."""

_LARGEST = float(np.finfo(np.float32).max)

Fit = Callable[[Sequence[NDArray[np.float32]], int, Element], tuple[Codebook | Grid, NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """A way to round.

    Parameters
    ----------
    summary : str
        One line for people who choose.
    fit : callable
        `fit(groups, bits, element)`: the values of every group of a tensor (float32 [n] each, some may be empty) → what
        the codes mean, and the codes of all groups behind each other (uint8).
    """

    summary: str
    fit: Fit


def _k_means(groups: Sequence[NDArray[np.float32]], bits: int, element: Element) -> tuple[Codebook, NDArray[np.uint8]]:
    """At most 2**bits shared values a group, with the least sum of squared distances (Han et al. 2016, section 3)."""
    found = [_centroids(values, bits, element) for values in groups]
    widest = max((centroids.size for centroids in found), default=0)
    rows = np.zeros((len(groups), widest), element.dtype)
    for row, centroids in zip(rows, found, strict=True):
        if centroids.size:
            row[:] = np.append(centroids, np.full(widest - centroids.size, centroids[-1], element.dtype))
    codes = [_assign(values, centroids.astype(np.float32)) for values, centroids in zip(groups, found, strict=True)]
    return Codebook(rows, bits), np.concatenate(codes)


def _centroids(values: NDArray[np.float32], bits: int, element: Element) -> NDArray[Any]:
    """k-means, on an even sample where there are millions, then one exact step over all values; ascending."""
    if not values.size:
        return np.zeros(0, element.dtype)
    generator = np.random.default_rng(0)
    sample = values[:: -(-values.size // _SAMPLE)]
    centroids = cluster(np.ascontiguousarray(sample), 1 << bits, "optimal", generator)
    if sample.size < values.size:
        sums, counts = np.zeros(centroids.size), np.zeros(centroids.size)
        for start in range(0, values.size, _CHUNK):
            chunk = values[start : start + _CHUNK]
            codes = assign(chunk, centroids)
            sums += np.bincount(codes, weights=chunk, minlength=centroids.size)
            counts += np.bincount(codes, minlength=centroids.size)
        centroids = np.where(counts > 0, sums / np.maximum(counts, 1), centroids).astype(np.float32)
    rounded = halved_unnoticed(centroids) if element.name == "float32" else centroids
    own: NDArray[Any] = np.unique(rounded.astype(element.dtype)) + element.dtype.type(0)  # no zero is negative
    return own


def _assign(values: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.uint8]:
    codes = np.zeros(values.size, np.uint8)
    for start in range(0, values.size, _CHUNK):
        codes[start : start + _CHUNK] = assign(values[start : start + _CHUNK], centroids)
    return codes


def _grid(groups: Sequence[NDArray[np.float32]], bits: int, element: Element) -> tuple[Grid, NDArray[np.uint8]]:
    """Every value to the nearest of 2**bits - 1 evenly spaced ones around zero, the largest magnitude being the last.

    Symmetric uniform quantisation (Krishnamoorthi 2018, section 2.3); of one bit, the values -scale and 0. The scales
    are float32 whatever the element type.
    """
    highest = max((1 << (bits - 1)) - 1, 1)
    first = -highest if bits > 1 else -1
    last = highest if bits > 1 else 0
    scales, codes = [], []
    for values in groups:
        largest = float(np.abs(values).max(initial=0.0))
        scale = np.float32(largest / highest) or np.float32(1)
        if float(scale) * highest > _LARGEST:  # rounded up, at the very end of the range
            scale = np.nextafter(scale, np.float32(0))
        scales.append(scale)
        codes.append(np.clip(np.rint(values / scale), first, last).astype(np.int16) - first)
    grid = Grid(np.array(scales, np.float32), first, last - first + 1, bits)
    return grid, np.concatenate(codes).astype(np.uint8)


ROUNDINGS: Mapping[str, Rounding] = MappingProxyType(
    {
        "k-means": Rounding(summary="shared values where the weights are dense", fit=_k_means),
        "grid": Rounding(summary="evenly spaced values around zero, a scale for every group", fit=_grid),
    }
)
"""Name of a rounding method → what it is."""
