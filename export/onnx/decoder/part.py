"""One tensor that the decoder writes: its codes, its codebooks and where its values stand."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part"]

_MAX_CODES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A tensor as codes into codebooks.

    Parameters
    ----------
    name : str
        Name under which the graph reads the decoded tensor.
    shape : tuple of int
        Shape in storage order.
    positions : int64 [n] or None
        Ascending row-major positions of the elements that have a code, all others are zero; None where every
        element has one.
    codes : uint8 [n]
        None at all, n = 0, makes a tensor of zeros.
    codebooks : [groups, k]
        One row of values for every group, in the element type of the tensor; k <= 256.
    group_size : int
        Elements of a group: element i belongs to group i // group_size.
    order : tuple of int or None
        Permutation of the axes, applied after decoding (the `perm` of Transpose).
    element : str or None
        ONNX name of the element type where it is not that of the codebooks: INT4, UINT4, which only Cast can make.
    """

    name: str
    shape: tuple[int, ...]
    positions: NDArray[np.int64] | None
    codes: NDArray[np.uint8]
    codebooks: NDArray[Any]
    group_size: int
    order: tuple[int, ...] | None = None
    element: str | None = None

    @property
    def size(self) -> int:
        """Number of elements, zeros included."""
        return prod(self.shape)

    def group_counts(self) -> NDArray[np.int64]:
        """Number of codes of every group: int64 [groups]."""
        edges = np.minimum(np.arange(len(self.codebooks) + 1) * self.group_size, self.size)
        return np.diff(edges if self.positions is None else np.searchsorted(self.positions, edges))

    def filled(self) -> "Part | None":
        """The same tensor with a code for every element, a zero one more value; None where 256 do not suffice."""
        width = self.codebooks.shape[1]
        if self.positions is None or self.codes.size == self.size:
            return replace(self, positions=None)
        if width == _MAX_CODES:
            return None
        codes = np.full(self.size, width, np.uint8)
        codes[self.positions] = self.codes
        zeros = np.zeros((len(self.codebooks), 1), self.codebooks.dtype)
        return replace(self, positions=None, codes=codes, codebooks=np.concatenate([self.codebooks, zeros], axis=1))

    def dense(self) -> NDArray[Any]:
        """The tensor that the decoder has to give, decoded here."""
        values = self.codebooks[np.repeat(np.arange(len(self.codebooks)), self.group_counts()), self.codes]
        if self.positions is None:
            flat = values
        else:
            flat = np.zeros(self.size, dtype=self.codebooks.dtype)
            flat[self.positions] = values
        array = flat.reshape(self.shape)
        return array if self.order is None else array.transpose(self.order)
