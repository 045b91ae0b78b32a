"""The nodes that turn a Huffman bitstream into ranks, by doubling positions: no loop, no lanes, no custom operator.

Every bit position is looked up as if a codeword began there; that gives the position
of the next one. Then the known starts double: P ← P ∥ next[P], next ← next[next], so
that n symbols take log2(n) rounds (pointer jumping: Wyllie, The Complexity of Parallel
Computations, 1979).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import pack
from export.decoder.builder import Builder
from export.decoder.tables import Streams
from export.decoder.words import lengths_of_ranks, narrow_words, rank_of_slot

__all__ = ["decode_by_doubling", "doubling_memory"]


def doubling_memory(symbols: int, bits: int) -> int:
    """Bytes of the intermediates that `decode_by_doubling` leaves while a runtime folds it."""
    rounds = max(symbols - 1, 1).bit_length()
    return 4 * bits * (16 + rounds) + 16 * symbols


def decode_by_doubling(builder: Builder, streams: Streams) -> str:
    """Append the payload of `streams` and its decoder; returns the ranks, int32 [symbols]."""
    lengths = streams.lengths()
    max_length = int(lengths.max())
    widths = lengths[streams.ranks]
    payload, _ = pack(streams.codewords()[streams.ranks], widths)
    rows = payload.size
    words = narrow_words(builder, payload, as_column=True)
    shifts = builder.ints(words.shifts(max_length))
    windows = builder.op("Mod", builder.op("Div", words.name, shifts), builder.ints(1 << max_length))
    slots = builder.op("Reshape", windows, builder.ints([-1], "int64"))
    base = _table_bases(builder, streams, widths, max_length, rows * 8)
    if base:
        slots = builder.op("Add", slots, base)
    length_of_rank = lengths_of_ranks(builder, lengths)
    rank_table = rank_of_slot(builder, length_of_rank, max_length, len(streams.tables))
    rank = builder.op("Gather", rank_table, slots)
    length = builder.op("Gather", length_of_rank, rank)
    zero, one, end = builder.ints(0), builder.ints(1), builder.ints(rows * 8)
    here = builder.op("Range", zero, end, one)
    # A codeword that is only imagined may end behind the last bit: the modulo keeps it inside.
    following = builder.op("Mod", builder.op("Add", here, length), end)
    starts, count = builder.ints([0]), 1
    while count < streams.ranks.size:
        starts = builder.op("Concat", starts, builder.op("Gather", following, starts), axis=0)
        count *= 2
        if count < streams.ranks.size:
            following = builder.op("Gather", following, following)
    return builder.op("Gather", rank, starts)


def _table_bases(
    builder: Builder, streams: Streams, widths: NDArray[np.uint8], max_length: int, positions: int
) -> str | None:
    """First slot of the table in force at every bit position; None where there is only one table."""
    if len(streams.tables) == 1:
        return None
    symbols = np.cumsum([0] + [segment.count for segment in streams.segments])
    bits = np.concatenate([[0], np.cumsum(widths, dtype=np.int64)])
    at, rises = [0], [streams.segments[0].table << max_length]
    for (before, after), symbol in zip(pairwise(streams.segments), symbols[1:-1], strict=True):
        if before.table != after.table:
            at.append(int(bits[symbol]))
            rises.append((after.table - before.table) << max_length)
    if not rises[0]:
        at, rises = at[1:], rises[1:]
    return builder.steps(at, rises, positions)
