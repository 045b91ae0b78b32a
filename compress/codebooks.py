"""What codes mean: shared values, or a uniform grid; one row of them for every group of elements."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.elements import ordinals

__all__ = ["MAX_BITS", "Codebook", "Grid", "finite", "frozen", "require"]

MAX_BITS = 8
"""Codes are bytes: a codebook has at most 2**8 centroids."""


def frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """A copy that nobody can change; an array that is one already is taken as it is."""
    own = array.base is None and not array.flags.writeable and array.flags.c_contiguous
    if own and array.dtype == dtype:
        return array
    copy = np.array(array, dtype=dtype, order="C", copy=True)
    copy.flags.writeable = False
    return copy


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def finite(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "iu" or bool(np.isfinite(array.astype(np.float32, copy=False)).all())


@dataclass(frozen=True, slots=True)
class Codebook:
    """What codes mean where they stand for shared values: one row of centroids for every group of elements.

    Parameters
    ----------
    centroids : [groups, k] or [k], of the tensor's element type
        Every row ascending and finite, -0.0 before 0.0; 0 <= k <= 2**bits. k is 0 only where every element is pruned.
        A row with fewer values than the others is filled up with its last one.
    bits : int
        Width of a code before entropy coding, 1 to 8.
    """

    centroids: NDArray[Any]
    bits: int

    def __post_init__(self) -> None:
        require(1 <= self.bits <= MAX_BITS, f"bits: found {self.bits}, allowed 1 to {MAX_BITS}")
        found = np.asarray(self.centroids)
        require(found.ndim in (1, 2), f"centroids: found {found.ndim} axes, allowed 1 or 2")
        centroids = frozen(np.atleast_2d(found), np.float32 if found.dtype == np.float64 else found.dtype)
        require(
            centroids.shape[1] <= 2**self.bits,
            f"centroids: found {centroids.shape[1]}, allowed at most {2**self.bits} at {self.bits} bits",
        )
        require(finite(centroids), "centroids: found NaN or infinity, allowed finite values")
        ascending = (np.diff(ordinals(centroids), axis=1) >= 0).all()
        require(bool(ascending), "centroids: found unsorted values, allowed ascending order")
        object.__setattr__(self, "centroids", centroids)

    @property
    def groups(self) -> int:
        return int(self.centroids.shape[0])

    @property
    def size(self) -> int:
        """Codes that a group may use."""
        return int(self.centroids.shape[1])

    def values(self, _dtype: np.dtype[Any]) -> NDArray[Any]:
        """What every code of every group stands for: [groups, size]."""
        return self.centroids

    def of_groups(self, first: int, last: int) -> "Codebook":
        """That of the groups from `first` up to but not including `last`."""
        return Codebook(self.centroids[first:last], self.bits)


@dataclass(frozen=True, slots=True)
class Grid:
    """What codes mean on a uniform grid: code c of group g stands for scales[g] · (first + c).

    The product is taken in float32 and rounded once to the element type.

    Parameters
    ----------
    scales : float32 [groups]
        Positive and finite: the distance of neighbouring values.
    first : int
        Place of code 0 on the grid, in steps from zero.
    size : int
        Codes that a group may use, 1 to 2**bits.
    bits : int
        Width of a code before entropy coding, 1 to 8.
    """

    scales: NDArray[np.float32]
    first: int
    size: int
    bits: int

    def __post_init__(self) -> None:
        scales = frozen(np.atleast_1d(np.asarray(self.scales)), np.float32)
        require(1 <= self.bits <= MAX_BITS, f"bits: found {self.bits}, allowed 1 to {MAX_BITS}")
        require(scales.ndim == 1, f"scales: found {scales.ndim} axes, allowed 1")
        require(bool((np.isfinite(scales) & (scales > 0)).all()), "scales: found one that is not positive and finite")
        require(1 <= self.size <= 2**self.bits, f"size: found {self.size}, allowed 1 to {2**self.bits}")
        require(abs(self.first) < 1 << 16, f"first: found {self.first}, allowed within 65,535 steps of zero")
        object.__setattr__(self, "scales", scales)

    @property
    def groups(self) -> int:
        return int(self.scales.size)

    def values(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """What every code of every group stands for: [groups, size], of the element type's dtype."""
        steps = np.arange(self.first, self.first + self.size, dtype=np.int64).astype(np.float32)
        with np.errstate(over="ignore", under="ignore"):  # what leaves the range is found by whoever builds the tensor
            return (self.scales[:, None] * steps).astype(dtype)

    def of_groups(self, first: int, last: int) -> "Grid":
        """That of the groups from `first` up to but not including `last`."""
        return Grid(self.scales[first:last], self.first, self.size, self.bits)
