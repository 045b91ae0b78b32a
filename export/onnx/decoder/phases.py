"""Phases of decoding: what one phase leaves behind is freed before the next begins.

onnxruntime folds all constant nodes in a pass over the graph, keeps every folded
intermediate until the pass ends, and passes again as long as something changed (ten
times at most). A phase can be folded in a later pass than the one before because the
shape of what a Scan gives is only inferred between two passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lcm, prod

import numpy as np

from compress.representation import CodedTensor
from export.onnx.decoder.builder import Builder

__all__ = ["MOST_PHASES", "Piece", "axis_of", "next_phase", "phases_of", "rows_of", "unit_of"]

MOST_PHASES = 6
"""Of ten passes the network's own optimisations need some."""

_LEAST_PIECE = 1 << 15
"""Elements below which a part is not cut: decoding all of it leaves some 4 MB, and every piece takes its own nodes."""

_JOINED = 2
"""Dense bytes of a tensor that joining its pieces takes beside: the pieces and their copies."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a part, along its first axis that is longer than one.

    Parameters
    ----------
    part : CodedTensor
    start, stop : int
        All rows where the part is not cut.
    """

    part: CodedTensor
    start: int
    stop: int

    @property
    def is_whole(self) -> bool:
        return self.stop - self.start == rows_of(self.part)

    def cut(self, name: str) -> CodedTensor:
        """The piece as a part of its own, the order of axes and the element type still to be changed."""
        part, axis = self.part, axis_of(self.part)
        row = part.size // rows_of(part)
        first, last = self.start * row, self.stop * row
        codebook = part.codebook
        if codebook.groups > 1:
            codebook = codebook.of_groups(first // part.group_size, -(-last // part.group_size))
        inside, positions = slice(first, last), None
        if part.positions is not None:
            inside = slice(*(int(edge) for edge in np.searchsorted(part.positions, [first, last])))
            positions = part.positions[inside] - first
        return CodedTensor(
            name=name,
            shape=(*part.stored_shape[:axis], self.stop - self.start, *part.stored_shape[axis + 1 :]),
            positions=positions,
            codes=part.codes[inside],
            codebook=codebook,
            element={"int4": "int8", "uint4": "uint8"}.get(part.element, part.element),
            group_size=min(part.group_size, last - first),
        )


def axis_of(part: CodedTensor) -> int:
    """The axis along which a part can be cut."""
    return next((axis for axis, length in enumerate(part.stored_shape) if length > 1), 0)


def rows_of(part: CodedTensor) -> int:
    return part.stored_shape[axis_of(part)] if part.stored_shape else 1


def phases_of(
    parts: Sequence[CodedTensor], memory: Sequence[int], *, beside: int, kept: int, allowed: int, most: int
) -> tuple[list[list[Piece]], int]:
    """Spread parts over as few phases as keep the memory bound, large ones cut into pieces.

    Parameters
    ----------
    parts : sequence of CodedTensor
    memory : sequence of int
        Bytes that decoding each of them leaves behind.
    beside : int
        Bytes that the first phase takes for other things.
    kept : int
        Those of them that are not freed behind it.
    allowed : int
    most : int
        Phases at most.

    Returns
    -------
    phases : list of list of Piece
        In the order of the parts. Where no number of phases keeps the bound, those that come nearest.
    peak : int
        Bytes of the largest phase.
    """
    found: list[tuple[int, list[list[Piece]]]] = []
    by_name = dict(zip((part.name for part in parts), memory, strict=True))
    for count in range(1, most + 1):
        phases = _evenly(parts, memory, beside, count)
        found.append((_peak(phases, by_name, beside, kept), phases))
        if found[-1][0] <= allowed:
            return found[-1][1], found[-1][0]
    peak, phases = min(found, key=lambda own: own[0])
    return phases, peak


def next_phase(builder: Builder, ready: str | None) -> str:
    """Append what the phase after `ready` has to wait for: an int64 [1] that is 1."""
    from onnx import TensorProto, helper

    one = builder.ints([1], "int64") if ready is None else ready
    # No shape inference looks through a CumSum: only folding it tells the shape of the next.
    waiting = builder.op("ConstantOfShape", builder.op("CumSum", one, builder.ints(0)))
    state, unused, same = (builder.name() for _ in range(3))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (state, unused, same)]
    body = helper.make_graph([helper.make_node("Identity", [state], [same])], same, values[:2], values[2:])
    return builder.op("Shape", builder.op("Scan", waiting, waiting, body=body, num_scan_inputs=1))


def _evenly(parts: Sequence[CodedTensor], memory: Sequence[int], beside: int, count: int) -> list[list[Piece]]:
    share = (beside + sum(memory)) / count
    phases: list[list[Piece]] = [[] for _ in range(count)]
    begin = float(beside)
    for part, own in zip(parts, memory, strict=True):
        end = begin + own
        first, last = (min(int(edge / share), count - 1) for edge in (begin, end))
        if part.size < _LEAST_PIECE or not own:
            first = last = min(int((begin + end) / 2 / share), count - 1)
        shares = [(number * share - begin) / max(own, 1) for number in range(first + 1, last + 1)]
        for number, (start, stop) in enumerate(pairwise(_edges(part, shares)), first):
            if stop > start:
                phases[number].append(Piece(part, start, stop))
        begin = end
    return [phase for phase in phases if phase]


def _edges(part: CodedTensor, shares: Sequence[float]) -> list[int]:
    """Rows at which a part is cut so that about these shares of its codes lie before; no piece is without a code."""
    rows, unit, count = rows_of(part), unit_of(part), part.codes.size
    row = part.size // rows
    edges = [0]
    for share in shares:
        place = min(max(int(share * count), 0), count - 1)
        position = place if part.positions is None else int(part.positions[place])
        edges.append(min(round(position / row / unit) * unit, rows))
    edges.append(rows)
    starts = [edge * row for edge in edges]
    codes = starts if part.positions is None else [int(place) for place in np.searchsorted(part.positions, starts)]
    for index in range(1, len(edges) - 1):
        if codes[index] == count:
            edges[index] = rows
        elif codes[index] <= codes[index - 1]:
            edges[index], codes[index] = edges[index - 1], codes[index - 1]
    return edges


def unit_of(part: CodedTensor) -> int:
    """Rows that a cut must not part: codebooks serve whole numbers of them."""
    row = max(part.size // max(rows_of(part), 1), 1)
    return lcm(row, part.group_size) // row if part.codebook.groups > 1 else 1


def _peak(phases: Sequence[Sequence[Piece]], memory: Mapping[str, int], beside: int, kept: int) -> int:
    sums = [beside, *([kept] * (len(phases) - 1))]
    for number, phase in enumerate(phases):
        for piece in phase:
            part, rows = piece.part, rows_of(piece.part)
            dense = prod(part.stored_shape) * part.dtype.itemsize
            sums[number] += memory[part.name] * (piece.stop - piece.start) // rows
            if piece.stop < rows:
                for later in range(number + 1, len(phases)):
                    sums[later] += dense * (piece.stop - piece.start) // rows
            elif not piece.is_whole:
                sums[number] += _JOINED * dense
    return max(sums)
