"""The compressed model as values: what the compression hands to the packed file and to every export.

All types are frozen, copy the arrays they are given, keep them contiguous and
non-writeable, and check their invariants once, when they are built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.graph import Graph

__all__ = [
    "MAX_BITS",
    "Codebook",
    "CompressedModel",
    "CompressedTensor",
    "CsrCodes",
    "DenseTensor",
    "matrix_shape",
]

MAX_BITS = 8
"""Codes are bytes: a codebook has at most 2**8 centroids."""

_MAX_INDEX = np.iinfo(np.int32).max


def _frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    copy = np.array(array, dtype=dtype, order="C", copy=True)
    copy.flags.writeable = False
    return copy


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The two-dimensional view under which a weight is stored as CSR.

    The first axis becomes the rows, all others the columns; a vector is one row.

    >>> matrix_shape((16, 6, 5, 5)), matrix_shape((10,)), matrix_shape(())
    ((16, 150), (1, 10), (1, 1))
    """
    if len(shape) < 2:
        return 1, prod(shape)
    return shape[0], prod(shape[1:])


@dataclass(frozen=True, slots=True)
class Codebook:
    """The shared weights of one tensor.

    Parameters
    ----------
    centroids : float32 [k]
        Ascending and finite, 0 <= k <= 2**bits; k is 0 only where every weight is pruned. -0.0 becomes 0.0, so that
        the order is one of bits as well as of values.
    bits : int
        Width of a code before entropy coding, 1 to 8.
    """

    centroids: NDArray[np.float32]
    bits: int

    def __post_init__(self) -> None:
        _require(1 <= self.bits <= MAX_BITS, f"bits: found {self.bits}, allowed 1 to {MAX_BITS}")
        centroids = _frozen(np.asarray(self.centroids, dtype=np.float32) + np.float32(0), np.float32)
        _require(centroids.ndim == 1, f"centroids: found {centroids.ndim} axes, allowed 1")
        _require(
            centroids.size <= 2**self.bits,
            f"centroids: found {centroids.size}, allowed at most {2**self.bits} at {self.bits} bits",
        )
        _require(bool(np.isfinite(centroids).all()), "centroids: found NaN or infinity, allowed finite values")
        _require(bool((np.diff(centroids) >= 0).all()), "centroids: found unsorted values, allowed ascending order")
        object.__setattr__(self, "centroids", centroids)


@dataclass(frozen=True, slots=True)
class CsrCodes:
    """Codes of the surviving weights in compressed sparse row form.

    Presence is told by `indices`, never by a value: a survivor whose centroid is zero stays.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the matrix.
    indptr : int64 [rows + 1]
        Row r holds the entries indptr[r] to indptr[r + 1].
    indices : int32 [nnz]
        Column of every entry, strictly ascending within a row.
    codes : uint8 [nnz]
        Index of every entry's centroid.
    """

    shape: tuple[int, int]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    codes: NDArray[np.uint8]

    def __post_init__(self) -> None:
        rows, columns = self.shape
        _require(rows >= 0 and 0 <= columns <= _MAX_INDEX, f"shape: found {self.shape}, allowed 0 to {_MAX_INDEX}")
        indptr = _frozen(self.indptr, np.int64)
        indices = _frozen(self.indices, np.int32)
        codes = _frozen(self.codes, np.uint8)
        _require(indptr.shape == (rows + 1,), f"indptr: found shape {indptr.shape}, allowed ({rows + 1},)")
        _require(
            int(indptr[0]) == 0 and bool((np.diff(indptr) >= 0).all()),
            "indptr: found a value out of order, allowed 0 first, then ascending",
        )
        nnz = int(indptr[-1])
        _require(indices.shape == (nnz,), f"indices: found shape {indices.shape}, allowed ({nnz},)")
        _require(codes.shape == (nnz,), f"codes: found shape {codes.shape}, allowed ({nnz},)")
        if nnz:
            _require(
                int(indices.min()) >= 0 and int(indices.max()) < columns,
                f"indices: found a column outside 0 to {columns - 1}",
            )
            ascending = np.diff(indices) > 0
            starts = indptr[1:-1]
            ascending[starts[(starts > 0) & (starts < nnz)] - 1] = True
            _require(bool(ascending.all()), "indices: found columns out of order within a row")
        object.__setattr__(self, "indptr", indptr)
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "codes", codes)

    @property
    def nnz(self) -> int:
        """Number of surviving weights."""
        return int(self.indices.size)

    def positions(self) -> NDArray[np.int64]:
        """Row-major flat position of every entry: int64 [nnz], strictly ascending."""
        rows, columns = self.shape
        row = np.repeat(np.arange(rows, dtype=np.int64), np.diff(self.indptr))
        row *= columns
        row += self.indices
        return row


@dataclass(frozen=True, slots=True)
class CompressedTensor:
    """A pruned tensor whose survivors share the centroids of one codebook.

    Parameters
    ----------
    name : str
        Name of the parameter in the graph.
    shape : tuple of int
        True shape; `csr` holds its `matrix_shape`.
    csr : CsrCodes
    codebook : Codebook
    """

    name: str
    shape: tuple[int, ...]
    csr: CsrCodes
    codebook: Codebook

    def __post_init__(self) -> None:
        _require(
            self.csr.shape == matrix_shape(self.shape),
            f"{self.name}: found a CSR shape of {self.csr.shape}, allowed {matrix_shape(self.shape)}",
        )
        codes, size = self.csr.codes, self.codebook.centroids.size
        _require(
            codes.size == 0 or int(codes.max()) < size,
            f"{self.name}: found code {codes.max() if codes.size else 0}, allowed below {size}",
        )

    @property
    def size(self) -> int:
        """Number of weights, pruned ones included."""
        return prod(self.shape)

    def dense(self) -> NDArray[np.float32]:
        """The weights as float32 of the true shape, +0.0 where pruned."""
        flat = np.zeros(self.size, dtype=np.float32)
        flat[self.csr.positions()] = self.codebook.centroids[self.csr.codes]
        return flat.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class DenseTensor:
    """A tensor that is not worth coding (a bias, a batch-norm statistic), kept as float32."""

    name: str
    array: NDArray[np.float32]

    def __post_init__(self) -> None:
        array = _frozen(self.array, np.float32)
        _require(bool(np.isfinite(array).all()), f"{self.name}: found NaN or infinity, allowed finite values")
        object.__setattr__(self, "array", array)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def size(self) -> int:
        return int(self.array.size)

    def dense(self) -> NDArray[np.float32]:
        return self.array


@dataclass(frozen=True, slots=True)
class CompressedModel:
    """A whole network: its graph without weights, its tensors in the graph's order, where it comes from.

    Parameters
    ----------
    graph : Graph
    tensors : tuple of CompressedTensor or DenseTensor
        One per parameter of `graph`, in its order, with its name and shape.
    provenance : mapping of str to str
        Recipe, seed and versions; no dates, so that equal inputs give equal bytes.
    """

    graph: Graph
    tensors: tuple[CompressedTensor | DenseTensor, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", tuple(self.tensors))
        object.__setattr__(self, "provenance", MappingProxyType(dict(sorted(self.provenance.items()))))
        found = {tensor.name: tensor.shape for tensor in self.tensors}
        _require(len(found) == len(self.tensors), "tensors: found a name twice")
        expected = dict(self.graph.parameters)
        _require(
            list(found.items()) == list(expected.items()),
            f"tensors: found {found}, allowed the graph's parameters {expected}",
        )

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Every parameter by name, dense float32."""
        return {tensor.name: tensor.dense() for tensor in self.tensors}
