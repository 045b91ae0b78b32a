"""A convolution and the 2×2 maximum behind it in one pass: lanes are pooled positions, registers the four of a window.

A pooled value is the largest of four sums, one for each position of its window.
With pooled positions in the lanes, each sum is a register of its own, and the
maximum needs no shuffle and no memory. The four see the input in columns that
lie apart by constant distances, so that a nonzero is one index, one weight and
four multiply-adds for each vector of pooled positions; the columns are aligned,
and are put together by permuting whole rows of the input.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.c.graph.steps import Convolution
from export.c.layers import pool
from export.c.text import Code, array

__all__ = ["Phases", "phases", "suits"]

_LANES = 16
"""Floats of a 512-bit vector: the form is written for those alone."""

_ROOM = 12_288
"""Floats of columns that a first-level cache of 48 kB holds."""

_SUMS = 12
"""Accumulators of one pass: three vectors of pooled positions, four sums each. Eight hide a multiply-add's latency; a
single vector has but four, and so takes a second set of them."""


@dataclass(frozen=True, slots=True)
class Phases:
    """Where the columns lie: that of channel c, row r and column s of the enlarged kernel, vector v, lies at
    c * channel + r * row + s * column + v * vector; its lane l holds pooled position positions[v][l].

    Parameters
    ----------
    rows, columns : int
        Height and width of the kernel, enlarged by the window.
    positions : int64 [vectors, 16]
        -1 where a lane has nothing to do.
    shared : bool
        Whether a vector is one row, so that taps two rows apart share their columns.
    """

    rows: int
    columns: int
    positions: NDArray[np.int64]
    shared: bool
    channel: int
    row: int
    column: int
    vector: int

    def cycles(self, matrix: NDArray[np.float32], channels: int) -> float:
        """What this layout costs on a core with two 512-bit loads a cycle, as measured on one.

        A nonzero takes four loads a vector and one for its weight and place in each pass, at 0.55 cycles where 0.5 is
        the bound; 20 cycles a pass are its sums' start and end, and 1.5 a vector of columns its permutation and store.
        """
        vectors = len(self.positions)
        passes = -(-vectors // (_SUMS // 4))
        loads = np.count_nonzero(matrix) * (4 * vectors + passes)
        return 0.55 * float(loads) + 20.0 * len(matrix) * passes + 1.5 * channels * self.channel / _LANES


def suits(step: Convolution) -> Phases | None:
    """The layout for a step, or None where it has no 2×2 maximum behind it, is padded or strided, or is large."""
    if step.pool is None or not pool.halves(step.pool) or any(step.pads) or step.strides != (1, 1):
        return None
    channels, _, width = step.inside
    (height, across), (kh, kw) = step.pool.outside, step.weight.shape[2:]
    if across > _LANES or width > 2 * _LANES or width < 2:
        return None
    rows, columns = ((k - 1) * d + 2 for k, d in zip((kh, kw), step.dilations, strict=True))
    each = _LANES // across
    by_rows, packed = -(-height // each), -(-height * across // _LANES)
    # Whole rows in a vector share their columns; they are worth one vector in twelve more than rows packed.
    count = by_rows if 12 * by_rows <= 13 * packed else packed
    lane = np.arange(_LANES)
    if count == packed and by_rows != packed:
        positions = np.arange(count)[:, None] * _LANES + lane
    else:
        positions = np.arange(count)[:, None] * each * across + np.where(lane < each * across, lane, height * across)
    positions = np.where(positions < height * across, positions, -1)
    if each == 1 and count == by_rows:
        lines = 2 * height + rows - 2
        layout = Phases(rows, columns, positions, True, columns * lines * _LANES, _LANES, lines * _LANES, 2 * _LANES)
    else:
        plane = count * _LANES
        layout = Phases(rows, columns, positions, False, rows * columns * plane, columns * plane, plane, _LANES)
    return layout if channels * layout.channel <= _ROOM else None


def _permuted(first: str, second: str, index: list[int]) -> str:
    return f"PICK({first}, {second}, {', '.join(map(str, index))})"


def _columns(name: str, step: Convolution, layout: Phases) -> str:
    """The function that fills the columns, channel by channel, from whole rows of the input."""
    assert step.pool is not None
    channels, height, width = step.inside
    across = step.pool.outside[1]
    lines = [
        f"static void {name}_phases_columns(const float *restrict x, float *restrict d) {{",
        f"    for (int c = 0; c < {channels}; ++c, x += {height * width}, d += {layout.channel}) {{",
    ]
    last = 2 * step.pool.outside[0] + layout.rows - 2
    for parity in (0, 1):
        needed = range(parity, last, 2)
        if width <= _LANES:
            lines.append("        {")
            lines += [f"            const vec r{i} = LOAD(x + {i * width});" for i in needed]
            for s in range(layout.columns):
                lines += _taps(layout, across, parity, s, [s + 2 * j for j in range(across)])
            lines.append("        }")
            continue
        for s in range(layout.columns):
            pick = [c if c < _LANES else c - width + 2 * _LANES for c in range(s, s + 2 * across, 2)]
            pick += [0] * (_LANES - across)
            lines.append("        {")
            for i in needed:
                low, high = f"LOAD(x + {i * width})", f"LOAD(x + {i * width + width - _LANES})"
                lines.append(f"            const vec r{i} = {_permuted(low, high, pick)};")
            if layout.shared:
                for i in needed:
                    lines.append(f"            STORE(d + {s * layout.column + i * layout.row}, r{i});")
            else:
                lines += _taps(layout, across, parity, s, list(range(across)))
            lines.append("        }")
    return "\n".join([*lines, "    }", "}", ""])


def _taps(layout: Phases, across: int, parity: int, s: int, lane_of: list[int]) -> list[str]:
    """Statements that store the columns of kernel column s and of the kernel rows of one parity.

    `lane_of` tells which lane of a row's register holds the value of a pooled column.
    """
    lines = []
    for r in range(parity, layout.rows, 2):
        for v, positions in enumerate(layout.positions):
            used = [int(y) for y in sorted({p // across for p in positions if p >= 0})]
            sources = [f"r{2 * y + r}" for y in used]
            held = [(used.index(p // across), lane_of[p % across]) if p >= 0 else (-1, 0) for p in positions.tolist()]
            value = sources[0]
            if len(used) > 1 or any(k == 0 and at != lane for lane, (k, at) in enumerate(held)):
                second = sources[1] if len(used) > 1 else sources[0]
                index = [at + _LANES * (k == 1) if k in (0, 1) else 0 for k, at in held]
                value = _permuted(value, second, index)
            for more in range(2, len(used)):
                index = [at + _LANES if k == more else lane for lane, (k, at) in enumerate(held)]
                value = _permuted(value, sources[more], index)
            where = r * layout.row + s * layout.column + v * layout.vector
            lines.append(f"            STORE(d + {where}, {value});")
    return lines


def phases(name: str, step: Convolution, layout: Phases, matrix: NDArray[np.float32]) -> tuple[Code, str]:
    """Definitions, which read the tables `name_nonzero_start`, `name_nonzero_w` and `name_nonzero_bias`, and the call.

    Parameters
    ----------
    name : str
    step : Convolution
    layout : Phases
    matrix : float32 [out, taps]
        The weights that the tables hold.
    """
    count = len(matrix)
    per_group = step.weight.shape[1]
    ky, kx = np.mgrid[0 : step.weight.shape[2], 0 : step.weight.shape[3]]
    within = ky * step.dilations[0] * layout.row + kx * step.dilations[1] * layout.column
    group = np.arange(count) // (count // step.groups)
    channel = group[:, None] * per_group + np.arange(per_group)[None, :]
    offsets = (channel[:, :, None, None] * layout.channel + within).reshape(matrix.shape)
    relu = step.activation is not None and step.activation.kind == "relu"
    vectors = len(layout.positions)
    stride = int(layout.positions[1, 0]) if vectors > 1 else _LANES
    turns = -(-vectors // (_SUMS // 4))
    sizes = [(vectors + turns - 1 - i) // turns for i in range(turns)]
    starts = [sum(sizes[:i]) for i in range(turns)]
    passes = "\n".join(_pass(name, layout, at, size, stride, relu) for at, size in zip(starts, sizes, strict=True))
    definitions = (
        array(f"{name}_phases_at", offsets[matrix != 0], "uint16_t")
        + _columns(name, step, layout)
        + f"""static void {name}_phases(const float *restrict x, float *restrict y) {{
    for (int o = 0; o < {count}; ++o, y += {step.size // count}) {{
        const int n = (int)({name}_nonzero_start[o + 1] - {name}_nonzero_start[o]);
        const uint16_t *at = {name}_phases_at + {name}_nonzero_start[o];
        const float *w = {name}_nonzero_w + {name}_nonzero_start[o];
{passes}
    }}
}}
"""
    )
    return definitions, f"{name}_phases_columns({{x}}, {{s}});\n{name}_phases({{s}}, {{y}});"


def _pass(name: str, layout: Phases, start: int, vectors: int, stride: int, relu: bool) -> str:
    """The block that computes `vectors` vectors of output channel o."""
    distances = [r * layout.row + s * layout.column for r in (0, 1) for s in (0, 1)]
    places = [d + (start + v) * layout.vector for v in range(vectors) for d in distances]
    sets = 2 if vectors == 1 else 1
    names = [[f"{'abcd'[f]}{v}{'xy'[t]}" for v in range(vectors) for f in range(4)] for t in range(sets)]

    def adds(t: int, at: str, behind: str) -> str:
        sums = " ".join(f"{n} += u * LOAD(q + {place});" for n, place in zip(names[t % sets], places, strict=True))
        opening = f"const float *q = x + {at}; const vec u = SPLAT(w[k{behind}]);"
        return f"                {{ {opening}\n                  {sums} }}"

    zero = ", ".join(f"{n} = SPLAT(0.0f)" for group in names for n in group)
    lines = ["        {", f"            vec {zero};", "            int k = 0;"]
    lines.append("            for (; k + 4 <= n; k += 4) {")
    lines += ["                uint64_t four;", "                memcpy(&four, at + k, sizeof four);"]
    lines += [adds(t, f"((four >> {16 * t}) & 65535u)", f" + {t}" if t else "") for t in range(4)]
    lines += ["            }", "            for (; k < n; ++k)", adds(0, "at[k]", "")]
    for v in range(vectors):
        for f in range(4 * v, 4 * v + 4) if sets > 1 else ():
            others = [names[t][f] for t in range(1, sets)]
            lines.append(f"            {names[0][f]} += {' + '.join(others)};")
        a, b, c, d = names[0][4 * v : 4 * v + 4]
        lines.append(f"            {a} = LARGER(LARGER({a}, {b}), LARGER({c}, {d})) + SPLAT({name}_nonzero_bias[o]);")
        value = f"LARGER({a}, SPLAT(0.0f))" if relu else a
        lines.append(f"            STORE(y + {(start + v) * stride}, {value});")
    return "\n".join([*lines, "        }"])
