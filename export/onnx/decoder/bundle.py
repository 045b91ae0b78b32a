"""Parts that are decoded together, with the positions of their elements turned into gaps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.coding.entropy import entropy_bits
from compress.representation import CodedTensor

__all__ = ["FILLER", "LARGE", "Bundle", "bundles_of", "code_bits", "fixed_gaps", "huffman_gaps", "steps_of"]

FILLER = 256
"""The code of a zero that only bridges a gap wider than the widest gap symbol."""

_CAPS = (15, 31, 63, 127, 255, 511, 1023, 2047)
"""Widest gaps to choose from. With 3, 7 and 4,095 as well both LeNet-5s at 0.9 come to the same bytes."""

_BITS_OF_FILLER = 8
"""About the codeword of a filler among the codes, where it is rare. Caffe's LeNet-5 comes to the same bytes from 8 bits
on, and is 27 bytes larger at 6."""

LARGE = 1 << 15
"""Elements from which on a part is decoded by itself: a smaller one takes at most 0.7 MB more for being joined with
others, and nodes of its own would take bytes of the file."""

_LARGE_TOGETHER = 1 << 18
"""Elements of all parts below which even large ones are joined: the 20 bytes for each are 5 MB then, and 16 MiB are
allowed to any network."""


_FindGap = Callable[[NDArray[np.integer], int], tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Parts of one element type, all of them with gaps or all of them without.

    Parameters
    ----------
    parts : tuple of CodedTensor
        In the order of decoding.
    codes : tuple of uint8 or uint16 arrays
        Codes of every part; FILLER where a zero bridges a gap.
    group_counts : tuple of int64 arrays
        Number of codes of every group of every part, fillers included.
    gaps : tuple of uint16 arrays
        One per code: steps along the joined flat elements of all parts. No arrays where every element has a code.
    """

    parts: tuple[CodedTensor, ...]
    codes: tuple[NDArray[np.unsignedinteger], ...]
    group_counts: tuple[NDArray[np.int64], ...]
    gaps: tuple[NDArray[np.uint16], ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type of the decoded tensors."""
        return self.parts[0].dtype

    @property
    def count(self) -> int:
        """Number of codes, fillers included."""
        return sum(codes.size for codes in self.codes)

    @property
    def elements(self) -> int:
        """Number of elements of all parts, zeros included."""
        return sum(part.size for part in self.parts)


def bundles_of(parts: Sequence[CodedTensor], *, huffman: bool) -> list[Bundle]:
    """Sort parts into bundles, their order kept, and find the cap on a gap that costs least.

    Parameters
    ----------
    parts : sequence of CodedTensor
    huffman : bool
        What the gaps are meant for: Huffman codewords, or a fixed width.

    Returns
    -------
    list of Bundle
        Those with gaps first. A part that is not small is a bundle of its own: to be cut out of a joined tensor,
        and to share one staircase of rows with the others, would take 20 more bytes of memory for an element at load.
    """
    kinds: dict[tuple[bool, str, str], list[CodedTensor]] = {}
    much = sum(part.size for part in parts) >= _LARGE_TOGETHER
    for part in parts:
        alone = part.name if much and part.size >= LARGE else ""
        kinds.setdefault((part.positions is None, part.dtype.name, alone), []).append(part)
    ordered = sorted(kinds.items(), key=lambda item: item[0][:2])
    find = huffman_gaps if huffman else fixed_gaps
    return [_dense_bundle(members) if dense else _sparse_bundle(members, find) for (dense, _, _), members in ordered]


def _dense_bundle(parts: Sequence[CodedTensor]) -> Bundle:
    codes = tuple(part.codes for part in parts)
    return Bundle(tuple(parts), codes, tuple(part.group_counts() for part in parts), ())


def _sparse_bundle(
    parts: Sequence[CodedTensor], find: Callable[[NDArray[np.integer], int], tuple[int, float]]
) -> Bundle:
    starts = accumulate((part.size for part in parts), initial=0)
    joined = [
        part.positions.astype(np.int64) + start
        for part, start in zip(parts, starts, strict=False)
        if part.positions is not None
    ]
    steps = steps_of(np.concatenate(joined))
    cap, _ = find(steps, max(part.codebook.size for part in parts))
    fillers = _fillers(steps, cap)
    cuts = np.cumsum([part.codes.size for part in parts])[:-1]
    filled = [
        _fill(part, own, rest, cap)
        for part, own, rest in zip(parts, np.split(fillers, cuts), np.split(steps - fillers * cap, cuts), strict=True)
    ]
    return Bundle(tuple(parts), *(tuple(column) for column in zip(*filled, strict=True)))


def code_bits(codebook_size: int, *, filler: bool) -> int:
    """Bits of a fixed-width code; a filler is one more value of the codebook."""
    return max(1, (codebook_size + filler - 1).bit_length())


def huffman_gaps(steps: NDArray[np.integer], _codebook_size: int) -> tuple[int, float]:
    """Widest gap at which Huffman-coded gaps take the fewest bits, and these bits, table included."""
    return min(((cap, _bits_with_cap(steps, cap)) for cap in _CAPS), key=lambda choice: choice[1])


def fixed_gaps(steps: NDArray[np.integer], codebook_size: int) -> tuple[int, float]:
    """Widest gap at which gaps and codes of fixed width take the fewest bits, and the bits of gaps and codes."""
    choices = []
    for bits in range(1, 9):
        fillers = int(_fillers(steps, (1 << bits) - 1).sum())
        width = bits + code_bits(codebook_size, filler=fillers > 0)
        choices.append(((1 << bits) - 1, float((steps.size + fillers) * width)))
    return min(choices, key=lambda choice: choice[1])


def steps_of(positions: NDArray[np.integer]) -> NDArray[np.integer]:
    """The distance of every position from the one before it, of the first from zero."""
    return np.concatenate([positions[:1], positions[1:] - positions[:-1]])


def _fillers(steps: NDArray[np.integer], cap: int) -> NDArray[np.integer]:
    fillers: NDArray[np.integer] = np.maximum(steps - 1, 0) // cap
    return fillers


def _fill(
    part: CodedTensor, fillers: NDArray[np.integer], remainders: NDArray[np.integer], cap: int
) -> tuple[NDArray[np.uint16], NDArray[np.int64], NDArray[np.uint16]]:
    ends = np.concatenate([[0], np.cumsum(fillers + 1)])
    codes, gaps = np.full(ends[-1], FILLER, np.uint16), np.full(ends[-1], cap, np.uint16)
    codes[ends[1:] - 1] = part.codes
    gaps[ends[1:] - 1] = remainders
    edges = np.concatenate([[0], np.cumsum(part.group_counts())])
    return codes, np.diff(ends[edges]), gaps


def _bits_with_cap(steps: NDArray[np.integer], cap: int) -> float:
    fillers = _fillers(steps, cap)
    counts = np.bincount(steps - fillers * cap, minlength=cap + 1)
    bridges = int(fillers.sum())
    counts[cap] += bridges
    bits_of_symbol = 16 if cap < 256 else 24
    return entropy_bits(counts) + _BITS_OF_FILLER * bridges + bits_of_symbol * np.count_nonzero(counts)
