"""A sparse matrix of few values as a codebook and a stream of bits: gaps and codes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Packed", "packed"]


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

    # At most eight bits: where gaps beyond 254 columns are common, there are so few weights that their room is small.
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
