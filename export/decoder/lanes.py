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
from export.decoder.words import Words, narrow_words, rank_of_slot, wide_words

if TYPE_CHECKING:
    import onnx

__all__ = ["best_steps", "decode_by_lanes", "lanes_memory"]

_BYTES_OF_STEP = {True: 36, False: 185}
_MAX_STEPS = 64


def best_steps(symbols: int, *, functions: bool) -> int:
    """Number of steps at which the nodes and the lanes' lengths together take the fewest bytes."""
    return int(np.clip(round((symbols / _BYTES_OF_STEP[functions]) ** 0.5), 1, _MAX_STEPS))


def lanes_memory(symbols: int, bits: int, *, functions: bool) -> int:
    """Bytes of the intermediates that `decode_by_lanes` leaves while a runtime folds it."""
    return 48 * symbols + (3 * bits // 2 if functions else 4 * bits)


def decode_by_lanes(builder: Builder, streams: Streams, *, functions: bool) -> Decoded:
    """Append the payload and its decoder.

    Parameters
    ----------
    builder : Builder
    streams : Streams
    functions : bool
        Write a step once, as a model-local function, instead of once for every step.
    """
    lengths = streams.lengths()
    max_length = int(lengths.max())
    steps = best_steps(streams.ranks.size, functions=functions)
    lanes = -(-streams.ranks.size // steps)
    by_step = np.full(steps * lanes, -1, np.int32)
    by_step[: streams.ranks.size] = streams.ranks
    by_lane = by_step.reshape(steps, lanes).T
    ranks = by_lane[by_lane >= 0]
    payload, _ = pack(streams.codewords()[ranks], lengths[ranks])
    bits_of_lane = np.append(lengths, np.uint8(0))[by_lane].sum(axis=1, dtype=np.int64)
    del by_step, by_lane, ranks

    # In the last step a lane that has no symbol left decodes what follows; its first bit has to be there.
    words = (wide_words if functions else narrow_words)(builder, np.append(payload, np.uint8(0)))
    length_of_rank = builder.cast(builder.constant(lengths), np.int32)
    rank_table = rank_of_slot(builder, length_of_rank, max_length, len(streams.tables))
    length_table = builder.op("Gather", length_of_rank, rank_table)
    position = _starts(builder, bits_of_lane)
    slots = []
    step = _Step(builder, max_length, words, length_table, functions=functions)
    for base in _bases(builder, streams, max_length, steps, lanes):
        position, slot = step.append(position, base)
        slots.append(slot)
    joined = builder.op("Concat", *slots, axis=0) if steps > 1 else slots[0]
    return Decoded(joined, rank_table, 1 << max_length, len(streams.tables) << max_length)


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
    return builder.cumsum(lengths, exclusive=True)


def _bases(builder: Builder, streams: Streams, max_length: int, steps: int, lanes: int) -> list[str]:
    """For every step the first slot of the table in force: a scalar, or one for each lane where a table ends within."""
    starts, table_from = [0], [streams.segments[0].table]
    position = 0
    for segment in streams.segments:
        if segment.table != table_from[-1]:
            starts.append(position)
            table_from.append(segment.table)
        position += segment.count
    bases = []
    for step in range(steps):
        first, last = step * lanes, (step + 1) * lanes
        run = bisect_right(starts, first) - 1
        inside = range(run + 1, bisect_left(starts, last))
        base = table_from[run] << max_length
        if not inside:
            bases.append(builder.ints(base))
            continue
        at = [starts[index] - first for index in inside]
        rises = [(table_from[index] - table_from[index - 1]) << max_length for index in inside]
        if base:
            at, rises = [0, *at], [base, *rises]
        bases.append(builder.steps(at, rises, lanes))
    return bases
