"""The nodes that turn a Huffman bitstream into ranks in lanes: every step decodes one symbol of each lane.

Symbol i belongs to lane i mod lanes and is decoded in step i div lanes, so that the
steps' results, one behind the other, are the symbols in their order. The memory of
the folded intermediates goes with the symbols (36 bytes each) and hardly with the
bits, the bytes of the graph go with the steps, and a lane costs the byte that tells
its length.
"""

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import pack
from export.decoder.assemble import Decoded
from export.decoder.builder import Builder
from export.decoder.tables import Streams
from export.decoder.words import Words, lengths_of_ranks, narrow_words, pair_tables, rank_of_slot, wide_words

if TYPE_CHECKING:
    import onnx

__all__ = ["best_steps", "decode_by_lanes", "lanes_memory"]

_BYTES_OF_STEP = {True: 36, False: 185}
_MAX_STEPS = 64
_MANY = 1 << 22


def best_steps(symbols: int, *, functions: bool) -> int:
    """Number of steps at which the nodes and the lanes' lengths together take the fewest bytes."""
    most = _MAX_STEPS if symbols >= _MANY else 2 * _MAX_STEPS
    return int(np.clip(round((symbols / _BYTES_OF_STEP[functions]) ** 0.5), 1, most))


def lanes_memory(symbols: int, bits: int, *, functions: bool) -> int:
    """Bytes of the intermediates that `decode_by_lanes` leaves while a runtime folds it."""
    return 48 * symbols + (3 * bits // 2 if functions else 4 * bits)


def decode_by_lanes(
    builder: Builder, streams: Streams, *, functions: bool, max_length: int, together: int = 1
) -> Decoded:
    """Append the payload and its decoder.

    Parameters
    ----------
    builder : Builder
    streams : Streams
    functions : bool
        Write a step once, as a model-local function, instead of once for every step.
    max_length : int
        Of the codewords of `streams`, or more.
    together : int
        Symbols that a step decodes in a lane, 1 or 2. With two, no segment has an odd count.
    """
    lengths = streams.lengths()
    unit_lengths, unit_codewords = _units(streams, together)
    steps = best_steps(unit_lengths.size, functions=functions)
    lanes = -(-unit_lengths.size // steps)
    by_step = np.full(steps * lanes, -1, np.int32)
    by_step[: unit_lengths.size] = np.arange(unit_lengths.size, dtype=np.int32)
    by_lane = by_step.reshape(steps, lanes).T
    order = by_lane[by_lane >= 0]
    payload, _ = pack(unit_codewords[order], unit_lengths[order])
    bits_of_lane = np.append(unit_lengths, np.uint8(0))[by_lane].sum(axis=1, dtype=np.int64)
    del by_step, by_lane, order, unit_lengths, unit_codewords

    # In the last step a lane that has no symbol left decodes what follows; its first bit has to be there.
    words = (wide_words if functions else narrow_words)(builder, np.append(payload, np.uint8(0)))
    length_of_rank = lengths_of_ranks(builder, lengths)
    rank_table = rank_of_slot(builder, length_of_rank, max_length, len(streams.tables))
    if together == 2:
        rank_table, length_table = pair_tables(builder, rank_table, length_of_rank, max_length, len(streams.tables))
    else:
        length_table = builder.op("Gather", length_of_rank, rank_table)
    window = together * max_length
    position = _starts(builder, bits_of_lane)
    slots = []
    step = _Step(builder, window, words, length_table, functions=functions)
    for base in _bases(builder, streams, window, steps, lanes, together):
        position, slot = step.append(position, base)
        slots.append(slot)
    joined = builder.op("Concat", *slots, axis=0) if steps > 1 else slots[0]
    return Decoded(joined, rank_table, 1 << window, len(streams.tables) << window, together)


def _units(streams: Streams, together: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Length and bits of what a step decodes in a lane."""
    lengths, codewords = streams.lengths()[streams.ranks], streams.codewords()[streams.ranks]
    if together == 1:
        return lengths, codewords
    return lengths[::2] + lengths[1::2], codewords[::2] << lengths[1::2] | codewords[1::2]


class _Step:
    """Decodes the symbol that begins at every lane's position: window, slot in the tables, length, next position."""

    def __init__(self, builder: Builder, max_length: int, words: Words, length_table: str, *, functions: bool) -> None:
        self._builder = builder
        self._shared = {
            "words": words.name,
            "lengths": length_table,
            "step": builder.ints(words.step),
            "shifts": builder.ints(words.shifts(max_length)),
            "span": builder.ints(1 << max_length),
        }
        self._function = self._write_function() if functions else None

    def append(self, position: str, base: str) -> tuple[str, str]:
        """The next positions and the slots decoded here."""
        if self._function is None:
            return self._nodes(self._builder, position, base, self._shared)
        from onnx import helper

        outputs = [self._builder.name(), self._builder.name()]
        inputs = [position, base, *self._shared.values()]
        self._builder.nodes.append(helper.make_node(self._function, inputs, outputs, domain=self._builder.domain))
        return outputs[0], outputs[1]

    def _write_function(self) -> str:
        from onnx import helper

        if self._builder.functions:
            return str(self._builder.functions[0].name)

        body = Builder(self._builder.opset, set())
        position, base = body.name(), body.name()
        shared = {key: body.name() for key in self._shared}
        outputs = self._nodes(body, position, base, shared)
        imports = [helper.make_opsetid("", self._builder.opset)]
        function: onnx.FunctionProto = helper.make_function(
            self._builder.domain, "s", [position, base, *shared.values()], outputs, body.nodes, imports
        )
        self._builder.functions.append(function)
        return function.name

    @staticmethod
    def _nodes(builder: Builder, position: str, base: str, shared: dict[str, str]) -> tuple[str, str]:
        word = builder.op("Gather", shared["words"], builder.op("Div", position, shared["step"]))
        shift = builder.op("Gather", shared["shifts"], builder.op("Mod", position, shared["step"]))
        window = builder.op("Mod", builder.op("Div", word, shift), shared["span"])
        slot = builder.op("Add", window, base)
        return builder.op("Add", position, builder.op("Gather", shared["lengths"], slot)), slot


def _starts(builder: Builder, bits_of_lane: NDArray[np.int64]) -> str:
    """Bit position at which every lane starts."""
    least = int(bits_of_lane.min())
    excess = bits_of_lane - least
    narrow = excess.astype(np.uint8 if excess.max() < 256 else np.uint16)
    lengths = builder.op("Add", builder.cast(builder.constant(narrow), np.int32), builder.ints(least))
    return builder.starts(lengths)


def _bases(builder: Builder, streams: Streams, window: int, steps: int, lanes: int, together: int) -> list[str]:
    """For every step the first slot of the table in force: a scalar, or one for each lane where a table ends within."""
    starts, table_from = [0], [streams.segments[0].table]
    position = 0
    for segment in streams.segments:
        if segment.table != table_from[-1]:
            starts.append(position)
            table_from.append(segment.table)
        position += segment.count // together
    bases = []
    for step in range(steps):
        first, last = step * lanes, (step + 1) * lanes
        run = bisect_right(starts, first) - 1
        inside = range(run + 1, bisect_left(starts, last))
        base = table_from[run] << window
        if not inside:
            bases.append(builder.ints(base))
            continue
        at = [starts[index] - first for index in inside]
        rises = [(table_from[index] - table_from[index - 1]) << window for index in inside]
        if base:
            at, rises = [0, *at], [base, *rises]
        bases.append(builder.steps(at, rises, lanes))
    return bases
