"""Convolutions for as many images at once as a vector has lanes: image innermost, positions in registers.

With images in the lanes there are no columns to lay out and no lanes to waste
at the edges: a nonzero is one weight, and one multiply-add for each of the
positions whose sums stay in registers. Where the input of a block of positions
is larger than a first-level cache, the nonzeros go by blocks of channels, and
the sums wait in memory.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from export.c.graph.steps import Convolution, Step
from export.c.layers import pool
from export.c.layers.pointwise import activate
from export.c.text import Code, array, index_type, joined

__all__ = ["Images", "images"]

_LANES = 16
"""Images laid innermost: the lanes of the widest vector."""

_SUMS = 28
"""Positions whose sums stay in registers: of 32, a weight and an input want some, and loads are folded into sums."""

_CACHE = 36 * 1024
"""Bytes of input that a block of positions may touch before its channels are split: three quarters of the first-level
cache of 48 kB; the table of nonzeros and the results want the rest."""

_ROOM = 1 << 19
"""Bytes of values in flight beyond which images one by one are no slower: they are to stay in a
second-level cache between two layers, and half a megabyte is what common ones have or twice have."""


@dataclass(frozen=True, slots=True)
class Images:
    """Definitions; calls, which read `wide` and write to `features`, TILE floats apart; floats per lane of `wide`."""

    definitions: Code
    calls: Code
    size: int


def images(steps: tuple[Step, ...], taken: tuple[int, ...], source: str) -> Images | None:
    """The steps in front of the fully connected end, or None where one of them is no plain convolution.

    Parameters
    ----------
    steps : tuple of Step
    taken : tuple of int
        Shape of the network's input.
    source : str
        Name of the network's input.
    """
    if not steps:
        return None
    sizes = [prod(taken)]
    for step in steps:
        if not isinstance(step, Convolution) or step.inputs != (source,) or any(step.pads):
            return None
        if step.pool is not None and not pool.halves(step.pool):
            return None
        source = step.output
        sizes.append(step.size)
    waiting = max((_blocks(step)[3] for step in steps if isinstance(step, Convolution)), default=0)
    places = [0, max(sizes[:-1:2])]
    total = places[1] + max(sizes[1:-1:2], default=0)
    if (total + waiting) * 4 * _LANES > _ROOM:
        return None
    definitions: list[Code] = []
    calls: list[Code | str] = []
    for i, step in enumerate(steps):
        assert isinstance(step, Convolution)
        last = i == len(steps) - 1
        name = f"s{i}_images"
        definitions.append(_convolution(name, step, "TILE" if last else "LANES"))
        there = "features" if last else f"wide + {places[(i + 1) % 2]} * LANES"
        calls.append(f"{name}(wide + {places[i % 2]} * LANES, {there}, wide + {total} * LANES);")
        if step.activation is not None and step.activation.kind != "relu":
            if last:
                for_each = activate("features + i * TILE", "LANES", step.activation)
                calls.append(Code(f"for (int i = 0; i < {step.size}; ++i) ") + for_each)
            else:
                calls.append(activate(there, f"{step.size} * LANES", step.activation))
    return Images(joined(definitions), joined(calls, "\n"), total + waiting)


def _blocks(step: Convolution) -> tuple[int, int, int, int]:
    """Rows and columns of a block of positions, channels of a block of channels, and sums that wait for the next."""
    rows, width = (2, 2 * step.pool.outside[1]) if step.pool is not None else (1, step.outside[2])
    most = _SUMS // rows
    across = width if width <= most else -(-width // -(-width // most))
    across += across % rows
    lines = (rows - 1) * step.strides[0] + (step.weight.shape[2] - 1) * step.dilations[0] + 1
    channels = max(1, min(step.inside[0], _CACHE // (lines * step.inside[2] * 4 * _LANES)))
    count = -(-step.inside[0] // channels)
    channels = -(-step.inside[0] // count)
    return rows, across, channels, 0 if count == 1 else len(step.weight) * rows * across


def _table(name: str, step: Convolution, channels: int) -> tuple[Code, str]:
    """The nonzeros, by blocks of channels and in each by output channel; and the type of their offsets."""
    count, per_group = step.weight.shape[:2]
    height, width = step.inside[1:]
    weight = step.weight if step.scale is None else step.weight * step.scale[:, None, None, None]
    out, inner, row, column = np.nonzero(weight)
    channel = out // (count // step.groups) * per_group + inner
    offsets = (channel * height + row * step.dilations[0]) * width + column * step.dilations[1]
    block = channel // channels
    order = np.lexsort((np.arange(out.size), out, block))
    start = np.r_[0, np.cumsum(np.bincount(block * count + out, minlength=-(-step.inside[0] // channels) * count))]
    kind = index_type(max(256, int(offsets.max(initial=0))))
    text = (
        array(f"{name}_start", start, index_type(int(start[-1])))
        + array(f"{name}_at", offsets[order], kind)
        + array(f"{name}_w", weight[weight != 0][order], "float")
        + array(f"{name}_bias", step.bias, "float")
    )
    return text, kind


def _convolution(name: str, step: Convolution, apart: str) -> Code:
    """The function name(x, y, waiting); the values of its result lie `apart` floats from each other."""
    rows, across, channels, waiting = _blocks(step)
    tables, kind = _table(name, step, channels)
    tall, wide = step.pool.outside if step.pool is not None else step.outside[1:]
    count, blocks, whole = len(step.weight), -(-step.inside[0] // channels), wide * rows
    starts = list(range(0, whole - across + 1, across))
    if starts[-1] + across < whole:
        starts.append(whole - across)
    down = rows * step.strides[0] * step.inside[2]
    row, more, each_block = "o", "", ""
    if waiting:
        row, each_block = f"b * {count} + o", f"for (int b = 0; b < {blocks}; ++b) "
        more = f",\n                waiting + o * {rows * across} * LANES, b == 0, b == {blocks - 1}"
    loops = ""
    for start in starts:
        x = f"x + (j * {down} + {start * step.strides[1]}) * LANES"
        y = f"y + (o * {tall * wide} + j * {wide} + {start // rows}) * {apart}"
        loops += f"""        {each_block}for (int o = 0; o < {count}; ++o) {{
            const int s = (int){name}_start[{row}], n = (int){name}_start[{row} + 1] - s;
            {name}_block({x}, {y},
                {name}_bias[o], n, {name}_at + s, {name}_w + s{more});
        }}
"""
    unused = "" if waiting else "    (void)waiting;\n"
    function = f"""{_block(name, step, apart, kind)}
static void {name}(const float *restrict x, float *restrict y, float *restrict waiting) {{
{unused}    for (int j = 0; j < {tall}; ++j) {{
{loops}    }}
}}
"""
    return tables + function


def _block(name: str, step: Convolution, apart: str, kind: str) -> str:
    """The function that computes one output channel at a block of positions, each a vector of images."""
    rows, across, _, waiting = _blocks(step)
    width = step.inside[2]
    flat = [
        (f"a{r}_{c}", r * step.strides[0] * width + c * step.strides[1]) for r in range(rows) for c in range(across)
    ]
    names = [name for name, _ in flat]
    start = "first ? SPLAT(bias) : (vec)LOAD(sums + {0} * LANES)" if waiting else "SPLAT(bias)"
    opening = "\n".join(f"    vec {n} = {start.format(i)};" for i, n in enumerate(names))
    flags = ", float *restrict sums, int first, int last" if waiting else ""
    closing = []
    if waiting:
        stores = "\n        ".join(f"STORE(sums + {i} * LANES, {n});" for i, n in enumerate(names))
        closing.append(f"if (!last) {{\n        {stores}\n        return;\n    }}")
    for c in range(0, across, rows):
        value = names[c]
        if rows == 2:
            below = names[across + c : across + c + 2]
            value = f"LARGER(LARGER({names[c]}, {names[c + 1]}), LARGER({below[0]}, {below[1]}))"
        if step.activation is not None and step.activation.kind == "relu":
            value = f"LARGER({value}, SPLAT(0.0f))"
        closing.append(f"STORE(y + {c // rows} * {apart}, {value});")
    fours = ""
    if kind == "uint16_t":
        # Loads are what this loop waits for: one brings four offsets.
        each = "\n".join(_nonzero(f"(four >> {16 * t}) & 65535u", f"k + {t}" if t else "k", flat) for t in range(4))
        fours = f"""#if LANES == 16
    for (; k + 4 <= n; k += 4) {{
        uint64_t four;
        memcpy(&four, at + k, sizeof four);
{each}
    }}
#endif
"""
    return f"""static NOINLINE void {name}_block(const float *restrict x, float *restrict y, float bias, int n,
                  const {kind} *restrict at, const float *restrict w{flags}) {{
{opening}
    int k = 0;
{fours}    for (; k < n; ++k)
{_nonzero("at[k]", "k", flat)}
    {(chr(10) + "    ").join(closing)}
}}
"""


def _nonzero(at: str, k: str, sums: list[tuple[str, int]]) -> str:
    """Statements that add one nonzero's share to every sum (name, distance from the first)."""
    adds = "\n            ".join(f"{n} += weight * LOAD(q + {place} * LANES);" for n, place in sums)
    return f"""        {{
            const float weight = w[{k}];
            const float *q = x + (int)({at}) * LANES;
            {adds}
        }}"""
