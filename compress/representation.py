"""The compressed model as values: what every front end makes, and every back end takes.

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

from compress.elements import ELEMENTS, Element, ordinals
from compress.graph import Graph

__all__ = [
    "MAX_BITS",
    "MAX_SIZE",
    "Codebook",
    "CodedTensor",
    "CompressedModel",
    "CsrCodes",
    "DenseTensor",
    "Grid",
    "Tensor",
    "csr_of",
    "matrix_shape",
]

MAX_BITS = 8
"""Codes are bytes: a codebook has at most 2**8 centroids."""

MAX_SIZE = 2**31 - 1
"""Most elements of a tensor: positions are int32."""


def _frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """A copy that nobody can change; an array that is one already is taken as it is."""
    own = array.base is None and not array.flags.writeable and array.flags.c_contiguous
    if own and array.dtype == dtype:
        return array
    copy = np.array(array, dtype=dtype, order="C", copy=True)
    copy.flags.writeable = False
    return copy


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _element(name: str, element: str) -> Element:
    _require(element in ELEMENTS, f"{name}: found element {element!r}, allowed {', '.join(ELEMENTS)}")
    return ELEMENTS[element]


def _finite(array: NDArray[Any]) -> bool:
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
        _require(1 <= self.bits <= MAX_BITS, f"bits: found {self.bits}, allowed 1 to {MAX_BITS}")
        found = np.asarray(self.centroids)
        _require(found.ndim in (1, 2), f"centroids: found {found.ndim} axes, allowed 1 or 2")
        centroids = _frozen(np.atleast_2d(found), np.float32 if found.dtype == np.float64 else found.dtype)
        _require(
            centroids.shape[1] <= 2**self.bits,
            f"centroids: found {centroids.shape[1]}, allowed at most {2**self.bits} at {self.bits} bits",
        )
        _require(_finite(centroids), "centroids: found NaN or infinity, allowed finite values")
        ascending = (np.diff(ordinals(centroids), axis=1) >= 0).all()
        _require(bool(ascending), "centroids: found unsorted values, allowed ascending order")
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
        scales = _frozen(np.atleast_1d(np.asarray(self.scales)), np.float32)
        _require(1 <= self.bits <= MAX_BITS, f"bits: found {self.bits}, allowed 1 to {MAX_BITS}")
        _require(scales.ndim == 1, f"scales: found {scales.ndim} axes, allowed 1")
        _require(bool((np.isfinite(scales) & (scales > 0)).all()), "scales: found one that is not positive and finite")
        _require(1 <= self.size <= 2**self.bits, f"size: found {self.size}, allowed 1 to {2**self.bits}")
        _require(abs(self.first) < 1 << 16, f"first: found {self.first}, allowed within 65,535 steps of zero")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedTensor:
    """A tensor as codes: which elements are left, a code for each of them, and what the codes mean.

    Elements are counted in storage order: row-major, after the axes were put in the order `axes`. Presence is told by
    `positions`, never by a value: a survivor whose centroid is zero stays.

    Parameters
    ----------
    name : str
        Name of the parameter in the graph.
    shape : tuple of int
    positions : int32 [nnz] or None
        Of the survivors, ascending; every other element is pruned, which is +0.0 or 0. None where none is pruned.
    codes : uint8 [nnz]
        In the order of the positions.
    codebook : Codebook or Grid
        What a code means, for every group of elements.
    element : str
        Key in ELEMENTS; integers have no Grid.
    group_size : int, optional
        Elements that share a row of the codebook: element i belongs to group i // group_size. All by default.
    axes : tuple of int, optional
        Storage order of the axes: the stored array is `tensor.transpose(axes)`. As they are by default.
    """

    name: str
    shape: tuple[int, ...]
    positions: NDArray[np.integer] | None
    codes: NDArray[np.uint8]
    codebook: Codebook | Grid
    element: str = "float32"
    group_size: int = 0
    axes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        natural = tuple(range(len(self.shape)))
        object.__setattr__(self, "axes", self.axes or natural)
        object.__setattr__(self, "group_size", self.group_size or max(self.size, 1))
        object.__setattr__(self, "codes", _frozen(np.asarray(self.codes), np.uint8))
        if self.positions is not None:
            full = len(self.positions) == self.size
            object.__setattr__(self, "positions", None if full else _frozen(np.asarray(self.positions), np.int32))
        self._check()

    def _check(self) -> None:
        _require(
            self.element in ELEMENTS, f"{self.name}: found element {self.element!r}, allowed {', '.join(ELEMENTS)}"
        )
        kind = ELEMENTS[self.element]
        _require(
            min(self.shape, default=0) >= 0, f"{self.name}: found the shape {self.shape}, allowed no negative axis"
        )
        _require(self.size <= MAX_SIZE, f"{self.name}: found {self.size} elements, allowed at most {MAX_SIZE}")
        _require(
            sorted(self.axes) == list(range(len(self.shape))),
            f"{self.name}: found axes {self.axes}, allowed an order of the {len(self.shape)} there are",
        )
        survivors = self.size if self.positions is None else self.positions.size
        _require(
            self.codes.shape == (survivors,), f"{self.name}: found {self.codes.shape} codes, allowed ({survivors},)"
        )
        if self.positions is not None and self.positions.size:
            ascending = bool((self.positions[1:] > self.positions[:-1]).all())
            inside = int(self.positions[0]) >= 0 and int(self.positions[-1]) < self.size
            _require(ascending and inside, f"{self.name}: found positions out of order, or beyond {self.size} elements")
        groups = max(1, -(-self.size // self.group_size))
        _require(self.codebook.groups == groups, f"{self.name}: found {self.codebook.groups} groups, allowed {groups}")
        highest = int(self.codes.max(initial=0))
        _require(
            not self.codes.size or highest < self.codebook.size,
            f"{self.name}: found code {highest}, allowed below {self.codebook.size}",
        )
        if isinstance(self.codebook, Grid):
            _require(kind.floating, f"{self.name}: found a grid of {self.element}, allowed a codebook")
            _require(_finite(self.values()), f"{self.name}: found a grid beyond the range of {self.element}")
            return
        centroids = self.codebook.centroids
        _require(centroids.dtype == kind.dtype, f"{self.name}: found {centroids.dtype} centroids, allowed {kind.dtype}")
        in_range = (
            kind.floating
            or not centroids.size
            or bool((centroids.min() >= kind.low) and (centroids.max() <= kind.high))
        )
        _require(in_range, f"{self.name}: found a centroid beyond the range of {self.element}")

    @classmethod
    def of_mask(
        cls, name: str, mask: NDArray[np.bool_], codes: NDArray[np.integer], centroids: NDArray[Any], bits: int
    ) -> "CodedTensor":
        """A float32 tensor with one codebook.

        Parameters
        ----------
        name : str
        mask : bool
            Of the tensor's shape, True where a weight survives.
        codes : integer [nnz]
            Of the survivors, in row-major order.
        centroids : float32 [k]
        bits : int

        >>> CodedTensor.of_mask("w", np.array([[True, False]]), np.array([1]), np.array([0.0, 2.0]), 1).dense().tolist()
        [[2.0, 0.0]]
        """
        return cls(
            name=name,
            shape=mask.shape,
            positions=np.flatnonzero(mask).astype(np.int32),
            codes=codes.astype(np.uint8),
            codebook=Codebook(np.asarray(centroids, dtype=np.float32), bits),
        )

    @property
    def size(self) -> int:
        """Number of elements, pruned ones included."""
        return prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """In which NumPy holds the elements."""
        return ELEMENTS[self.element].dtype

    @property
    def nnz(self) -> int:
        """Number of survivors."""
        return int(self.codes.size)

    @property
    def bits(self) -> int:
        """Width of a code before entropy coding."""
        return self.codebook.bits

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape in storage order."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def restoring_axes(self) -> tuple[int, ...] | None:
        """Permutation of the stored array that gives the tensor; None where it is that already."""
        natural = tuple(range(len(self.shape)))
        return None if self.axes == natural else tuple(int(axis) for axis in np.argsort(self.axes))

    def values(self) -> NDArray[Any]:
        """What every code of every group stands for: [groups, k], of the element type."""
        return self.codebook.values(self.dtype)

    def places(self) -> NDArray[np.integer]:
        """Position of every survivor: int32 [nnz], those of all elements written out too."""
        return np.arange(self.size, dtype=np.int32) if self.positions is None else self.positions

    def group_counts(self) -> NDArray[np.int64]:
        """Number of survivors of every group: int64 [groups]."""
        edges = np.minimum(np.arange(self.codebook.groups + 1) * self.group_size, self.size).astype(np.int32)
        return np.diff(edges if self.positions is None else np.searchsorted(self.positions, edges)).astype(np.int64)

    def dense(self) -> NDArray[Any]:
        """The tensor, of the element type, zero where it is pruned."""
        values = self.values()
        if len(values) == 1:
            survivors = values[0][self.codes] if self.codes.size else np.zeros(0, values.dtype)
        else:
            survivors = values[np.repeat(np.arange(len(values)), self.group_counts()), self.codes]
        if self.positions is not None:
            flat = np.zeros(self.size, dtype=values.dtype)
            flat[self.positions] = survivors
            survivors = flat
        array = survivors.reshape(self.stored_shape)
        return array if self.restoring_axes is None else array.transpose(self.restoring_axes)


@dataclass(frozen=True, slots=True)
class DenseTensor:
    """A tensor that is not worth coding: a bias, a batch-norm statistic.

    Parameters
    ----------
    name : str
    array : of the element type's dtype
        Finite.
    element : str
        Key in ELEMENTS.
    """

    name: str
    array: NDArray[Any]
    element: str = "float32"

    def __post_init__(self) -> None:
        _require(
            self.element in ELEMENTS, f"{self.name}: found element {self.element!r}, allowed {', '.join(ELEMENTS)}"
        )
        kind = ELEMENTS[self.element]
        array = _frozen(self.array, kind.dtype)
        _require(_finite(array), f"{self.name}: found NaN or infinity, allowed finite values")
        in_range = kind.floating or not array.size or bool(array.min() >= kind.low and array.max() <= kind.high)
        _require(in_range, f"{self.name}: found a value beyond the range of {self.element}")
        object.__setattr__(self, "array", array)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def size(self) -> int:
        return int(self.array.size)

    def dense(self) -> NDArray[Any]:
        return self.array


Tensor = CodedTensor | DenseTensor


@dataclass(frozen=True, slots=True)
class CompressedModel:
    """A whole network: its graph without weights, its tensors in the graph's order, where it comes from.

    Parameters
    ----------
    graph : Graph
    tensors : tuple of CodedTensor or DenseTensor
        One per parameter of `graph`, in its order, with its name, shape and element type.
    provenance : mapping of str to str
        Recipe, seed and versions; no dates, so that equal inputs give equal bytes.
    """

    graph: Graph
    tensors: tuple[Tensor, ...]
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
        elements = {tensor.name: tensor.element for tensor in self.tensors}
        wanted = dict(self.graph.elements)
        _require(elements == wanted, f"tensors: found elements {elements}, allowed the graph's {wanted}")

    @property
    def coded(self) -> tuple[CodedTensor, ...]:
        """The tensors that are coded, in the graph's order."""
        return tuple(tensor for tensor in self.tensors if isinstance(tensor, CodedTensor))

    @property
    def dense(self) -> tuple[DenseTensor, ...]:
        """The tensors that are not coded, in the graph's order."""
        return tuple(tensor for tensor in self.tensors if isinstance(tensor, DenseTensor))

    @property
    def dense_bytes(self) -> int:
        """Bytes of all parameters, in their own element types, as an uncompressed file holds them."""
        return sum(ELEMENTS[tensor.element].stored_bytes(tensor.size) for tensor in self.tensors)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Every parameter by name, dense, in its element type."""
        return {tensor.name: tensor.dense() for tensor in self.tensors}


@dataclass(frozen=True, slots=True)
class CsrCodes:
    """Codes in compressed sparse row form.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the matrix.
    indptr : int64 [rows + 1]
        Row r holds the entries indptr[r] to indptr[r + 1].
    indices : int32 [nnz]
        Column of every entry, ascending within a row.
    codes : uint8 [nnz]
    """

    shape: tuple[int, int]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    codes: NDArray[np.uint8]


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The two-dimensional view of a tensor: the first axis becomes the rows, all others the columns; a vector is a row.

    >>> matrix_shape((16, 6, 5, 5)), matrix_shape((10,)), matrix_shape(())
    ((16, 150), (1, 10), (1, 1))
    """
    if len(shape) < 2:
        return 1, prod(shape)
    return shape[0], prod(shape[1:])


def csr_of(tensor: CodedTensor) -> CsrCodes:
    """A coded tensor as a sparse matrix of codes, rows and columns in storage order (Han et al. 2016, section 2).

    >>> mask = np.array([[False, True], [True, True]])
    >>> csr = csr_of(CodedTensor.of_mask("w", mask, np.array([3, 0, 1]), np.arange(4), 2))
    >>> csr.indptr.tolist(), csr.indices.tolist(), csr.codes.tolist()
    ([0, 1, 3], [1, 0, 1], [3, 0, 1])
    """
    rows, columns = matrix_shape(tensor.stored_shape)
    positions = tensor.places()
    indptr = np.searchsorted(positions, np.arange(rows + 1, dtype=np.int64) * columns)
    return CsrCodes(
        (rows, columns), indptr, (positions % max(columns, 1)).astype(np.int32), tensor.codes.astype(np.uint8)
    )
