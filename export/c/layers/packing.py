"""Arrangements of a sparse matrix: codes and gaps in bits, and lanes that a permutation of registers feeds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEPS", "Lanes", "Packed", "lanes", "packed"]

_WINDOW = 16

STEPS = 4
"""Steps that run side by side, each into its own sum."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix as a codebook and a stream of gaps and codes, row after row.

    Parameters
    ----------
    book : float32 [k]
    code_bits, gap_bits : int
        A field is a gap of `gap_bits`; the largest gap takes no weight and skips as many columns, any other is
        followed by a code of `code_bits`, whose weight stands that many columns behind the weight before.
    counts : int64 [rows]
        Weights in each row.
    stream : uint8 [n]
        Fields from the least significant bit of the first byte on, and two bytes that a reader may look ahead.
    """

    book: NDArray[np.float32]
    code_bits: int
    gap_bits: int
    counts: NDArray[np.int64]
    stream: NDArray[np.uint8]


def packed(matrix: NDArray[np.float32]) -> Packed | None:
    """Pack the nonzeros of a matrix float32 [rows, columns]; None where they have more than 256 values.

    >>> p = packed(np.array([[0, 2, 0, 3], [2, 0, 0, 0]], dtype=np.float32))
    >>> p.book.tolist(), p.code_bits, p.counts.tolist()
    ([2.0, 3.0], 1, [2, 1])
    """
    rows, columns = np.nonzero(matrix)
    book, codes = np.unique(matrix[rows, columns], return_inverse=True)
    if book.size > 256:
        return None
    before = np.r_[-1, columns[:-1]]
    before[np.flatnonzero(np.r_[True, np.diff(rows) > 0])[: rows.size]] = -1
    gaps = columns - before - 1
    code_bits = max(1, int(book.size - 1).bit_length()) if book.size else 1

    def cost(bits: int) -> int:
        skips = int((gaps // (2**bits - 1)).sum())
        return skips * bits + int(gaps.size) * (bits + code_bits)

    gap_bits = min(range(1, 9), key=cost)
    skip = 2**gap_bits - 1
    fields: list[NDArray[np.uint8]] = []
    for gap, code in zip(gaps.tolist(), codes.tolist(), strict=True):
        value, width = 0, 0
        for _ in range(gap // skip):
            value |= skip << width
            width += gap_bits
        value |= (gap % skip) << width
        width += gap_bits
        value |= code << width
        width += code_bits
        fields.append(np.array([(value >> i) & 1 for i in range(width)], dtype=np.uint8))
    bits = np.concatenate(fields) if fields else np.zeros(0, np.uint8)
    stream = np.r_[np.packbits(bits, bitorder="little"), np.zeros(2 if bits.size else 3, np.uint8)]
    counts = np.bincount(rows, minlength=len(matrix))
    return Packed(book.astype(np.float32), code_bits, gap_bits, counts, stream)


@dataclass(frozen=True, slots=True)
class Lanes:
    """A matrix as steps: sixteen rows side by side, each taking one of 32 inputs out of two windows of 16.

    Parameters
    ----------
    order : int64 [blocks * 16]
        Row of every lane; -1 where there is none.
    counts : int64 [blocks]
        Steps of every block, a multiple of STEPS.
    windows : int64 [steps, 2]
        First column of both windows.
    lanes : uint8 [steps, 16]
        Which of the 32 inputs.
    weights : float32 [steps, 16]
        What it is multiplied by; 0 where the lane has nothing to do.
    """

    order: NDArray[np.int64]
    counts: NDArray[np.int64]
    windows: NDArray[np.int64]
    lanes: NDArray[np.uint8]
    weights: NDArray[np.float32]


def lanes(matrix: NDArray[np.float32]) -> Lanes:
    """Arrange a matrix float32 [rows, columns]; rows of like length share a block.

    Greedy: each step takes the window that feeds the most rows, the longest remaining rows first among equals,
    and beside it the window that feeds the most of the others.
    """
    count = len(matrix)
    order = np.argsort(-np.count_nonzero(matrix, axis=1), kind="stable")
    order = np.r_[order, np.full(-count % 16, -1)]
    all_steps: list[tuple[tuple[int, int], NDArray[np.uint8], NDArray[np.float32]]] = []
    counts = []
    for start in range(0, order.size, 16):
        steps = _block(matrix, order[start : start + 16])
        counts.append(len(steps))
        all_steps += steps
    return Lanes(
        order,
        np.array(counts, dtype=np.int64),
        np.array([s[0] for s in all_steps], dtype=np.int64).reshape(-1, 2),
        np.array([s[1] for s in all_steps], dtype=np.uint8).reshape(-1, 16),
        np.array([s[2] for s in all_steps], dtype=np.float32).reshape(-1, 16),
    )


def _block(
    matrix: NDArray[np.float32], rows: NDArray[np.int64]
) -> list[tuple[tuple[int, int], NDArray[np.uint8], NDArray[np.float32]]]:
    columns = matrix.shape[1]
    windows = -(-columns // _WINDOW)
    left: list[list[list[int]]] = [[[] for _ in range(windows)] for _ in range(16)]
    counts = np.zeros((16, windows), dtype=np.int64)
    for lane, row in enumerate(rows):
        if row >= 0:
            for column in np.flatnonzero(matrix[row])[::-1].tolist():
                left[lane][column // _WINDOW].append(column)
                counts[lane, column // _WINDOW] += 1
    steps = []
    while counts.any():
        weight = counts.sum(axis=1, keepdims=True)
        present = counts > 0
        first = int(np.argmax((present * weight).sum(axis=0)))
        others = present & ~present[:, first : first + 1]
        second = int(np.argmax((others * weight).sum(axis=0)))
        index, values = np.zeros(16, np.uint8), np.zeros(16, np.float32)
        for lane in range(16):
            choices = [w for w in (first, second) if counts[lane, w]]
            if not choices:
                continue
            window = max(choices, key=lambda w, lane=lane: int(counts[lane, w]))  # type: ignore[misc]
            column = left[lane][window].pop()
            counts[lane, window] -= 1
            index[lane] = column - window * _WINDOW + (0 if window == first else _WINDOW)
            values[lane] = matrix[rows[lane], column]
        steps.append(((first * _WINDOW, second * _WINDOW), index, values))
    idle = ((0, 0), np.zeros(16, np.uint8), np.zeros(16, np.float32))
    return steps + [idle] * (-len(steps) % STEPS)
