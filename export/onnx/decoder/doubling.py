"""The nodes that turn a Huffman bitstream into ranks, by doubling positions: no loop, no lanes, no custom operator.

Every bit position is looked up as if a codeword began there; that gives the position
of the next one. Then the known starts double: P ← P ∥ next[P], next ← next[next], so
that n symbols take log2(n) rounds (pointer jumping: Wyllie, The Complexity of Parallel
Computations, 1979). Two rounds are written as one, P ← P ∥ next[P] ∥ next²[P] ∥ next³[P],
which takes fewer bytes.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import pack
from export.onnx.decoder.assemble import Symbols
from export.onnx.decoder.builder import Builder
from export.onnx.decoder.tables import Streams
from export.onnx.decoder.words import lengths_of_ranks, narrow_words, rank_of_slot

__all__ = ["decode_by_doubling", "doubling_memory"]

_AT_ONCE = 4
"""Starts known behind two rounds for every one before: what the loop below writes, squaring `following` twice."""


def doubling_memory(symbols: int, bits: int) -> int:
    """Bytes of the intermediates that `decode_by_doubling` leaves while a runtime folds it."""
    rounds = max(symbols - 1, 1).bit_length()
    return 4 * bits * (18 + rounds) + 16 * symbols


def decode_by_doubling(builder: Builder, streams: Streams) -> Symbols:
    """Append the payload of `streams` and its decoder; the symbols are ranks."""
    lengths = streams.lengths()
    max_length = int(lengths.max())
    widths = lengths[streams.ranks]
    payload, _ = pack(streams.codewords()[streams.ranks], widths)
    positions = 8 * payload.size
    words = narrow_words(builder, payload, as_column=True)
    shifts = builder.ints(words.shifts(max_length))
    windows = builder.op("Mod", builder.op("Div", words.name, shifts), builder.ints(1 << max_length))
    slots = builder.op("Reshape", windows, builder.ints([-1], "int64"))
    zeros = builder.op("Sub", slots, slots)
    changes = _table_changes(streams, widths, max_length)
    if changes:
        slots = builder.op("Add", slots, builder.staircase(zeros, *zip(*changes, strict=True)))
    length_of_rank = lengths_of_ranks(builder, lengths)
    enough = len(streams.tables) << max_length <= positions
    tables = len(streams.tables)
    rank_table = rank_of_slot(builder, length_of_rank, max_length, tables, zeros if enough else None)
    rank = builder.op("Gather", rank_table, slots)
    length = builder.op("Gather", length_of_rank, rank)
    zero, one, end = builder.ints(0), builder.ints(1), builder.ints(positions)
    here = builder.op("Range", zero, end, one)
    # A codeword that is only imagined may end behind the last bit: the modulo keeps it inside.
    following = builder.op("Mod", builder.op("Add", here, length), end)
    starts, count = builder.ints([0]), 1
    while count < streams.ranks.size:
        known = [starts]
        for _ in range(min(_AT_ONCE, -(-streams.ranks.size // count)) - 1):
            known.append(builder.op("Gather", following, known[-1]))
        starts, count = builder.op("Concat", *known, axis=0), count * len(known)
        if count < streams.ranks.size:
            twice = builder.op("Gather", following, following)
            following = builder.op("Gather", twice, twice)
    return Symbols(builder.op("Gather", rank, starts), 0, count)


def _table_changes(streams: Streams, widths: NDArray[np.uint8], max_length: int) -> list[tuple[int, int]]:
    """Bit positions from which another table is in force, and by how much its first slot lies behind the last one's."""
    symbols = np.cumsum([0] + [segment.count for segment in streams.segments])
    bits = np.concatenate([[0], np.cumsum(widths, dtype=np.int64)])
    tables = [0, *(segment.table for segment in streams.segments)]
    return [
        (int(bits[symbol]), (after - before) << max_length)
        for symbol, (before, after) in zip(symbols, pairwise(tables), strict=False)
        if before != after
    ]
