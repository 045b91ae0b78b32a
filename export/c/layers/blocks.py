"""Convolution kernels written out weight by weight: accumulators in registers, each stretch of input loaded once.

A block computes several output channels at a few vectors of positions. Its
text names every nonzero; a stretch of the columns that several channels use is
loaded once. Blocks are functions of their own, so that a compiler finds no loop
around them to hoist loads out of, which would spill the accumulators.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.c.text import Code, array, number

__all__ = ["Group", "Shape", "bound", "fitting", "loop", "shapes", "unrolled"]

_REGISTERS = 26
"""Accumulators that leave room among 32 vector registers: for four inputs, a weight, and what the compiler moves."""

_LANES = 16
"""Floats of a vector in the model below: the widest."""

_LIMIT = 24_000
"""Statements per layer beyond which a table is written. It trades speed for the length of the text and the time that a
compiler takes (VGG-Lite at 0.9: 23 s for all layers). Written out is faster still: 1.3 to 1.9 times a table
at densities from 0.2 to 0.5 (Intel Xeon, AVX-512, 32 channels to 32, 3 × 3, 16 × 16 positions)."""


_CHAIN = 4.0
"""Cycles from a multiply-add to one that needs its sum, on the cores since Skylake and Zen."""

_AROUND = 8.0
"""Cycles of a pass beside its sums: the call, the biases and the stores."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A block of `channels` × `vectors` accumulators, and its cost in cycles by the model below."""

    channels: int
    vectors: int
    cycles: float
    statements: int


_LITERALS = 2_000
"""Weights of a block beyond which they come from a table: so many literals are hoisted into registers, and spilled.
It counts for one vector a block alone: with more, each weight is used several times, and a table of them is always
read."""


@dataclass(frozen=True, slots=True)
class Group:
    """Output channels from `start` on that one function computes together, `vectors` vectors of positions a call."""

    definition: Code
    function: str
    start: int
    count: int
    vectors: int


def _cost(matrix: NDArray[np.float32], offsets: NDArray[np.int64], padded: int, vectors: int) -> Shape:
    """What a block shape costs on a core with two 512-bit multiply-adds and two loads a cycle.

    Code beyond about 8 kB leaves the decoded-instruction cache and comes in at about 18 bytes a cycle. A multiply-add
    with its literal takes 10 bytes; with a weight from a table 8, and 6.5 a vector; a load of an input 8. A load of an
    input counts twice: it crosses a cache line, since the stretches begin anywhere.
    """
    count = len(matrix)
    groups = -(-count // max(1, _REGISTERS // vectors))
    channels = -(-count // groups)
    passes = -(-padded // (vectors * _LANES))
    cycles, statements = 0.0, 0
    for start in range(0, count, channels):
        part, where = matrix[start : start + channels], offsets[start : start + channels]
        nonzero = part != 0
        hits = int(nonzero.sum())
        taps = np.unique(where[nonzero]).size
        loads = taps * vectors * 2 + hits
        size = hits * (10 if vectors == 1 else 8 + 6.5 * vectors) + taps * vectors * 8
        chain = _CHAIN * hits / max(1, len(part))
        busy = max(hits * vectors / 2, loads / 2, chain, size / 18 if size > 8000 else 0.0)
        cycles += passes * (busy + _AROUND)
        statements += hits * vectors + taps
    return Shape(channels, vectors, cycles, statements)


def shapes(matrix: NDArray[np.float32], offsets: NDArray[np.int64], padded: int) -> list[Shape]:
    """The shapes that blocks can have, with their costs, fewest statements first."""
    return [_cost(matrix, offsets, padded, vectors) for vectors in (1, 2, 3, 4)]


def fitting(found: Sequence[Shape]) -> list[Shape]:
    """Those whose text is short enough to be written without being asked for."""
    return [shape for shape in found if shape.statements <= _LIMIT]


def bound(matrix: NDArray[np.float32], padded: int) -> float:
    """Cycles that no block of one vector exceeds, by the model: every nonzero waits for the one before.

    What a table or dense blocks count for beside blocks: not an estimate, but so much that text which fits is taken.
    A table was measured at 1.5 cycles a nonzero and vector, and blocks below that at every density.
    """
    return padded / _LANES * (_CHAIN * float(np.count_nonzero(matrix)) + _AROUND * len(matrix))


def unrolled(
    name: str,
    matrix: NDArray[np.float32],
    offsets: NDArray[np.int64],
    bias: NDArray[np.float32],
    padded: int,
    shape: Shape,
) -> list[Group]:
    """Blocks of straight-line code for the nonzeros of a convolution.

    Parameters
    ----------
    name : str
    matrix : float32 [out, taps]
    offsets : int64 [out, taps]
        Where each tap's stretch begins in the columns.
    bias : float32 [out]
    padded : int
        Positions, rounded up to whole vectors; the distance of the output planes.
    shape : Shape
        Of the blocks.
    """
    groups = []
    for start in range(0, len(matrix), shape.channels):
        rows = range(start, min(len(matrix), start + shape.channels))
        function = f"{name}_from_{start}"
        definition = _block(function, matrix, offsets, bias, rows, shape.vectors)
        if padded % (shape.vectors * _LANES):
            definition += _block(f"{function}_last", matrix, offsets, bias, rows, 1)
        groups.append(Group(definition, function, start, len(rows), shape.vectors))
    return groups


def loop(group: Group, x: str, y: str, padded: int) -> str:
    """Whole blocks, then single vectors where the planes end inside a block; the planes end at whole vectors."""
    step = f"{group.vectors} * LANES" if group.vectors > 1 else "LANES"
    function = group.function
    text = f"for (int p = 0; p + {step} <= {padded}; p += {step}) {function}({x} + p, {y} + p, {padded});"
    if padded % (group.vectors * _LANES):
        text += (
            f"\nfor (int p = {padded} / ({step}) * ({step}); p < {padded}; p += LANES) "
            f"{function}_last({x} + p, {y} + p, {padded});"
        )
    return text


def _block(
    function: str,
    matrix: NDArray[np.float32],
    offsets: NDArray[np.int64],
    bias: NDArray[np.float32],
    rows: range,
    vectors: int,
) -> Code:
    names = [[f"a{row - rows[0]}_{v}" for v in range(vectors)] for row in rows]
    nonzeros = int(np.count_nonzero(matrix[rows.start : rows.stop]))
    from_table = nonzeros > (0 if vectors > 1 else _LITERALS)
    table: list[float] = []
    lines = [f"static NOINLINE void {function}(const float *restrict x, float *restrict y, int plane) {{"]
    for row in rows:
        here = names[row - rows[0]]
        lines.append(f"    vec {', '.join(f'{n} = SPLAT({number(bias[row])})' for n in here)};")
    if from_table:
        lines.append(f"    const float *w = {function}_w;\n    HIDE(w);")
    taps: dict[int, list[tuple[int, float]]] = {}
    for row in rows:
        for tap in np.flatnonzero(matrix[row]):
            taps.setdefault(int(offsets[row, tap]), []).append((row, float(matrix[row, tap])))
    for offset in sorted(taps):
        loads = ", ".join(f"v{v} = LOAD(x + {offset}{f' + {v} * LANES' if v else ''})" for v in range(vectors))
        lines.append(f"    {{ const vec {loads};")
        for row, value in taps[offset]:
            weight = number(value)
            if from_table:
                weight = f"w[{len(table)}]"
                table.append(value)
            lines.append("      " + " ".join(f"{n} += {weight} * v{v};" for v, n in enumerate(names[row - rows[0]])))
        lines[-1] += " }"
    if not taps:
        lines.append("    (void)x;")
    for row in rows:
        here = names[row - rows[0]]
        at = f"y + {row - rows[0]} * plane"
        lines.append(
            "    " + " ".join(f"STORE({at}{f' + {v} * LANES' if v else ''}, {n});" for v, n in enumerate(here))
        )
    lines += ["}", ""]
    data = array(f"{function}_w", np.array(table, dtype=np.float32), "float") if table else Code()
    return data + "\n".join(lines)
