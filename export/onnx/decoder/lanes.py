"""The nodes that turn a Huffman bitstream into slots of the tables in lanes: a step decodes one symbol of each lane.

Symbol i belongs to lane i mod lanes and is decoded in step i div lanes, so that the
steps' results, one behind the other, are the symbols in their order. A runtime that
folds a node copies its inputs, and the hole that the copy of a long tensor leaves is
too late for the next: so a few steps at a time fetch the words that their codewords
may lie in, and each of them picks from these. The memory of the folded intermediates
goes with the symbols, the bytes of the graph go with the steps, and a lane costs the
byte that tells its length.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitWriter, pack
from export.onnx.decoder.assemble import Lookup, Symbols
from export.onnx.decoder.builder import Builder
from export.onnx.decoder.tables import Segment, Streams
from export.onnx.decoder.words import Words, lengths_of_ranks, narrow_words, rank_of_slot, wide_words

__all__ = ["Lanes", "best_steps", "lanes_memory", "words_memory"]

_AT_ONCE = {True: 8, False: 4}
"""Steps that share the words they fetched, with and without functions."""

_BYTES_OF_STEP = {True: 8, False: 200}
"""What a step more adds to the file, with and without functions: 8.2 and 209 bytes between 16 and 64 steps for a
million symbols."""

_BYTES_OF_SYMBOL = {True: 53, False: 56}
"""Intermediates of a symbol: the int32 values of its step, its share of the words fetched and of the copies that join
the slots come to 45 to 49 bytes with functions and 48 to 52 without; the rest is room for what cuts them apart."""

_MAX_STEPS = 128
"""A step is seven nodes, which take onnxruntime time whatever they decode. For a million symbols 256 steps would save
0.6 % of the file, and load in 0.43 s instead of 0.32."""

_MANY = 1 << 21
"""Symbols from which on there may be twice as many steps: they take 0.3 s to decode, beside which nodes count less."""

_LEAST_LANES = 2048
"""A step takes a runtime as long to fold for fewer."""

_LAID_OUT = 1 << 20
"""Symbols that are brought into the order of the payload at a time."""


def best_steps(symbols: int, *, functions: bool) -> int:
    """Number of steps at which the nodes and the lanes' lengths together take the fewest bytes."""
    at_once = _AT_ONCE[functions]
    fewest_bytes = int((symbols / _BYTES_OF_STEP[functions]) ** 0.5)
    chosen = min(fewest_bytes, symbols // _LEAST_LANES, _MAX_STEPS if symbols < _MANY else 2 * _MAX_STEPS)
    return int(max(at_once, chosen // at_once * at_once))


def lanes_memory(symbols: int, *, functions: bool) -> int:
    """Bytes of the intermediates that decoding symbols leaves while a runtime folds it, those of their words apart."""
    return _BYTES_OF_SYMBOL[functions] * symbols


def words_memory(bits: int, *, functions: bool) -> tuple[int, int]:
    """Bytes that making the words of a payload leaves, and those that are kept until the last of them is read."""
    return (7 * bits // 4, bits // 4) if functions else (4 * bits, 2 * bits)


class Lanes:
    """Decodes the streams of all phases, one after the other; they share their tables, payload and lanes.

    Parameters
    ----------
    builder : Builder
    streams : sequence of Streams
    functions : bool
        Write the steps once, as a model-local function, instead of as often as they are taken.
    """

    def __init__(self, builder: Builder, streams: Sequence[Streams], *, functions: bool) -> None:
        lengths = streams[0].lengths()
        self._builder = builder
        self._functions = functions
        self._max_length = int(lengths.max())
        length_of_rank = lengths_of_ranks(builder, lengths)
        rank_table = rank_of_slot(builder, length_of_rank, self._max_length, len(streams[0].tables))
        slots = len(streams[0].tables) << self._max_length
        self.lookup = Lookup(
            builder, streams[0], rank_table, slots=slots, table_slots=1 << self._max_length, column=True
        )
        symbols = sum(stream.ranks.size for stream in streams)
        self._steps = best_steps(symbols, functions=functions)
        self._lanes = -(-symbols // self._steps)
        payload, bits_of_lane = self._pack(streams)
        words = (wide_words if functions else narrow_words)(builder, payload)
        self._bases = self._bases_of([segment for stream in streams for segment in stream.segments])
        self._shared = self._inputs(words, builder.op("Gather", length_of_rank, rank_table))
        self._position = _starts(builder, bits_of_lane)
        self._slots: list[str] = []
        self._begin = 0

    def decode(self, count: int) -> Symbols:
        """Append what decodes the next symbols, as slots of the tables."""
        at_once, end = _AT_ONCE[self._functions], self._begin + count
        if self._slots and self._builder.ready is not None:
            self._position = self._builder.op("Expand", self._position, self._builder.ready)
        span = self._lanes * (at_once if self._functions else 1)
        while len(self._slots) * span < end:
            done = len(self._slots) * span // self._lanes
            self._position, *decoded = self._append(self._bases[done : done + at_once])
            self._slots += decoded
        first, last = self._begin // span, -(-end // span)
        own = self._slots[first:last]
        skipped, self._begin = self._begin - first * span, end
        joined = self._builder.op("Concat", *own, axis=0) if len(own) > 1 else own[0]
        return Symbols(joined, skipped, span * len(own))

    def _pack(self, streams: Sequence[Streams]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The payload, lane behind lane, and the bits of every lane; some lanes at a time are laid out."""
        none = streams[0].lengths().size
        lengths = np.append(streams[0].lengths(), np.uint8(0))
        codewords = streams[0].codewords()
        symbols = sum(stream.ranks.size for stream in streams)
        by_step = np.full((self._steps, self._lanes), none, np.uint16)
        np.concatenate([stream.ranks for stream in streams], out=by_step.reshape(-1)[:symbols])
        bits_of_lane = np.empty(self._lanes, np.int64)
        writer = BitWriter()
        at_once = max(1, _LAID_OUT // self._steps)
        for first in range(0, self._lanes, at_once):
            own = by_step[:, first : first + at_once]
            bits_of_lane[first : first + at_once] = lengths[own].sum(axis=0, dtype=np.int64)
            behind = own.T.reshape(-1)
            coded = behind[behind != none]
            writer.write_packed(*pack(codewords[coded], lengths[coded]))
        # A lane that has no symbol left decodes what follows, and words are fetched ahead: they have to be there.
        idle = -(-(by_step.size - symbols) // self._lanes)
        ahead = (idle + _AT_ONCE[self._functions]) * self._max_length // 8 + 4
        return np.frombuffer(writer.to_bytes() + bytes(ahead), np.uint8), bits_of_lane

    def _inputs(self, words: Words, length_table: str) -> list[str]:
        """Inputs that all steps have: words, their length in bits, places, divisors, number of slots, lengths."""
        builder = self._builder
        step = builder.ints(words.step)
        farthest = (_AT_ONCE[self._functions] - 1) * self._max_length + words.step - 1
        offsets = builder.op("Range", builder.ints(0), builder.ints(farthest + 1), builder.ints(1))
        shifts = builder.ints(words.shifts(self._max_length))
        return [
            words.name,
            step,
            builder.ints(np.arange(farthest // words.step + 1)),
            builder.op("Gather", shifts, builder.op("Mod", offsets, step)),
            builder.ints(1 << self._max_length),
            length_table,
        ]

    def _append(self, bases: Sequence[str | None]) -> Sequence[str]:
        """Append some steps; where there is one table, none of them is told its first slot."""
        zero = self._builder.ints(0)
        told = [base or zero for base in bases] if any(self._bases) else []
        inputs = [self._position, *self._shared, *told]
        write = partial(_steps, count=len(bases), functions=self._functions)
        if not self._functions:
            return write(self._builder, inputs)
        return self._builder.call("s", inputs, write, 2)

    def _bases_of(self, segments: Sequence[Segment]) -> list[str | None]:
        """For every step the first slot of the table in force: None for zero, a scalar, or one for each lane."""
        starts, table_from = [0], [segments[0].table]
        position = 0
        for segment in segments:
            if segment.table != table_from[-1]:
                starts.append(position)
                table_from.append(segment.table)
            position += segment.count
        bases: list[str | None] = []
        for step in range(self._steps):
            first, last = step * self._lanes, (step + 1) * self._lanes
            run = bisect_right(starts, first) - 1
            inside = range(run + 1, bisect_left(starts, last))
            base = table_from[run] << self._max_length
            if not inside:
                bases.append(self._builder.ints(base) if base else None)
                continue
            at = [starts[index] - first for index in inside]
            rises = [(table_from[index] - table_from[index - 1]) << self._max_length for index in inside]
            if base:
                at, rises = [0, *at], [base, *rises]
            zeros = self._builder.zeros((self._lanes, 1), np.int32)
            bases.append(self._builder.staircase(zeros, at, rises, column=True))
        return bases


def _steps(builder: Builder, inputs: Sequence[str], *, count: int, functions: bool) -> list[str]:
    """Some steps of all lanes: the positions behind them, and the slots they decoded, joined in a function."""
    position, words, step, *shared = inputs[:7]
    bases = [[base] for base in inputs[7:]] or [[]] * count
    places, *others = shared
    first = builder.op("Div", position, step)
    fetched = builder.op("Gather", words, builder.op("Add", first, places))
    offset = builder.op("Mod", position, step)
    slots = []
    for base in bases:
        own = [offset, fetched, step, *others, *base]
        slot, offset = builder.call("t", own, _step, 2) if functions else _step(builder, own)
        slots.append(slot)
    if functions:
        slots = [builder.op("Concat", *slots, axis=0)]
    return [builder.op("Add", builder.op("Mul", first, step), offset), *slots]


def _step(builder: Builder, inputs: Sequence[str]) -> list[str]:
    """One step of all lanes: the slot in the tables, and the offset behind its codeword in the words fetched."""
    offset, fetched, step, shifts, span, lengths, *base = inputs
    word = builder.op("GatherElements", fetched, builder.op("Div", offset, step), axis=1)
    slot = builder.op("Mod", builder.op("Div", word, builder.op("Gather", shifts, offset)), span)
    if base:
        slot = builder.op("Add", slot, *base)
    return [slot, builder.op("Add", offset, builder.op("Gather", lengths, slot))]


def _starts(builder: Builder, bits_of_lane: NDArray[np.int64]) -> str:
    """Bit position at which every lane starts: int32 [lanes, 1]."""
    least = int(bits_of_lane.min())
    excess = bits_of_lane - least
    narrow = excess.astype(np.uint8 if excess.max() < 256 else np.uint16)
    stored = builder.constant(narrow, (narrow.size, 1))
    return builder.starts(builder.op("Add", builder.cast(stored, np.int32), builder.ints(least)))
