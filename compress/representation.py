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

from compress.codebooks import MAX_BITS, Codebook, Grid, finite, frozen, require
from compress.elements import ELEMENTS, Element
from compress.graph import Graph

__all__ = ["MAX_BITS", "MAX_SIZE", "Codebook", "CodedTensor", "CompressedModel", "DenseTensor", "Grid", "Tensor"]

MAX_SIZE = 2**31 - 1
"""Most elements of a tensor: positions are int32."""


def _element(name: str, element: str) -> Element:
    require(element in ELEMENTS, f"{name}: found element {element!r}, allowed {', '.join(ELEMENTS)}")
    return ELEMENTS[element]


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
        object.__setattr__(self, "codes", frozen(np.asarray(self.codes), np.uint8))
        if self.positions is not None:
            full = len(self.positions) == self.size
            object.__setattr__(self, "positions", None if full else frozen(np.asarray(self.positions), np.int32))
        self._check()

    def _check(self) -> None:
        kind = _element(self.name, self.element)
        require(min(self.shape, default=0) >= 0, f"{self.name}: found the shape {self.shape}, allowed no negative axis")
        require(self.size <= MAX_SIZE, f"{self.name}: found {self.size} elements, allowed at most {MAX_SIZE}")
        require(
            sorted(self.axes) == list(range(len(self.shape))),
            f"{self.name}: found axes {self.axes}, allowed an order of the {len(self.shape)} there are",
        )
        survivors = self.size if self.positions is None else self.positions.size
        require(
            self.codes.shape == (survivors,), f"{self.name}: found {self.codes.shape} codes, allowed ({survivors},)"
        )
        if self.positions is not None and self.positions.size:
            ascending = bool((self.positions[1:] > self.positions[:-1]).all())
            inside = int(self.positions[0]) >= 0 and int(self.positions[-1]) < self.size
            require(ascending and inside, f"{self.name}: found positions out of order, or beyond {self.size} elements")
        groups = max(1, -(-self.size // self.group_size))
        require(self.codebook.groups == groups, f"{self.name}: found {self.codebook.groups} groups, allowed {groups}")
        highest = int(self.codes.max(initial=0))
        require(
            not self.codes.size or highest < self.codebook.size,
            f"{self.name}: found code {highest}, allowed below {self.codebook.size}",
        )
        if isinstance(self.codebook, Grid):
            require(kind.floating, f"{self.name}: found a grid of {self.element}, allowed a codebook")
            require(finite(self.values()), f"{self.name}: found a grid beyond the range of {self.element}")
            return
        centroids = self.codebook.centroids
        require(centroids.dtype == kind.dtype, f"{self.name}: found {centroids.dtype} centroids, allowed {kind.dtype}")
        in_range = (
            kind.floating
            or not centroids.size
            or bool((centroids.min() >= kind.low) and (centroids.max() <= kind.high))
        )
        require(in_range, f"{self.name}: found a centroid beyond the range of {self.element}")

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
        kind = _element(self.name, self.element)
        array = frozen(self.array, kind.dtype)
        require(finite(array), f"{self.name}: found NaN or infinity, allowed finite values")
        in_range = kind.floating or not array.size or bool(array.min() >= kind.low and array.max() <= kind.high)
        require(in_range, f"{self.name}: found a value beyond the range of {self.element}")
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
        require(len(found) == len(self.tensors), "tensors: found a name twice")
        expected = dict(self.graph.parameters)
        require(
            list(found.items()) == list(expected.items()),
            f"tensors: found {found}, allowed the graph's parameters {expected}",
        )
        elements = {tensor.name: tensor.element for tensor in self.tensors}
        wanted = dict(self.graph.elements)
        require(elements == wanted, f"tensors: found elements {elements}, allowed the graph's {wanted}")

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
