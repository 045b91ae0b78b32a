"""A convolution as a sum over its nonzeros: each is a multiple of a contiguous stretch of shifted input planes.

The input is first laid out as columns: for every input channel, every horizontal
tap and every phase of the vertical stride, a plane whose rows are already those
of the result (padding, stride and dilation done). Then a weight at (channel, ky,
kx) multiplies one contiguous stretch, from its offset on, for all output
positions at once. What is left is sum += weight * columns[offset + position].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.c.layers import blocks, dense, phases, pool, tables
from export.c.layers.pointwise import activate
from export.c.graph.steps import Convolution
from export.c.text import ALIGN, Piece, round_up

__all__ = ["convolution"]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where things lie: planes of `plane` floats, `kx` × `phases` of them per channel; `rows` rows each."""

    rows: int
    plane: int
    phases: int
    identity: bool
    offsets: NDArray[np.int64]
    size: int


def _layout(step: Convolution) -> _Columns:
    channels, height, width = step.inside
    _, out_height, out_width = step.outside
    kh, kw = step.weight.shape[2:]
    stride, dilation = step.strides[0], step.dilations[0]
    ky, kx = np.mgrid[0:kh, 0:kw]
    identity = kw == 1 and kh == 1 and step.strides == (1, 1) and not any(step.pads)
    used = sorted({(y * dilation) % stride for y in range(kh)})
    phases = len(used)
    phase = np.searchsorted(used, (ky * dilation) % stride)
    rows = out_height + ((kh - 1) * dilation) // stride
    plane = height * width if identity else round_up(rows * out_width, ALIGN)
    within = (kx * phases + phase) * plane + ((ky * dilation) // stride) * out_width
    per_group = step.weight.shape[1]
    group = np.arange(len(step.weight)) // (len(step.weight) // step.groups)
    channel = group[:, None] * per_group + np.arange(per_group)[None, :]
    offsets = channel[:, :, None, None] * (kw * phases * plane) + within[None, None]
    return _Columns(rows, plane, phases, identity, offsets, 0 if identity else channels * kw * phases * plane)


def _columns_code(name: str, step: Convolution, layout: _Columns) -> str:
    """The function that lays out the columns: for each channel, tap and phase, rows of the result's width."""
    channels, height, width = step.inside
    out_width = step.outside[2]
    kh, kw = step.weight.shape[2:]
    (sy, sx), (dy, dx), (top, left) = step.strides, step.dilations, step.pads[:2]
    used = sorted({(y * dy) % sy for y in range(kh)})
    lines = [
        f"static void {name}_columns(const float *restrict x, float *restrict d) {{",
        f"    for (int c = 0; c < {channels}; ++c, x += {height * width}) {{",
    ]
    for k in range(kw):
        shift = k * dx - left
        first = min(out_width, max(0, -(shift // sx) if shift < 0 else 0))
        end = max(first, min(out_width, (width - 1 - shift) // sx + 1))
        for phase in used:
            index = (k * len(used) + used.index(phase)) * layout.plane
            copy = [f"for (int i = 0; i < {first}; ++i) r[i] = 0.0f;"] if first else []
            if end > first:
                source = f"{sx} * i" if sx > 1 else "i"
                where = shift + first * sx
                if sx == 1:
                    move = "move" if end - first >= ALIGN else "spill"
                    copy.append(f"{move}(r + {first}, q + {where}, {end - first});")
                else:
                    copy.append(f"for (int i = 0; i < {end - first}; ++i) r[{first} + i] = q[{where} + {source}];")
            if end < out_width:
                copy.append(f"for (int i = {end}; i < {out_width}; ++i) r[i] = 0.0f;")
            first_row = max(0, -((phase - top) // sy) if phase < top else 0)
            end_row = max(first_row, min(layout.rows, (height - 1 - (phase - top)) // sy + 1))
            lines.append("        {")
            lines.append(f"            float *r = d + {index};")
            if first_row:
                lines.append(f"            memset(r, 0, {first_row * out_width} * sizeof *r);")
                lines.append(f"            r += {first_row * out_width};")
            if end_row > first_row:
                start = (first_row * sy + phase - top) * width
                lines.append(f"            const float *q = x + {start};")
                count = end_row - first_row
                lines.append(f"            for (int j = 0; j < {count}; ++j, r += {out_width}, q += {sy * width}) {{")
                lines += ["                " + text for text in copy]
                lines.append("            }")
            if end_row < layout.rows:
                lines.append(f"            memset(r, 0, {(layout.rows - end_row) * out_width} * sizeof *r);")
            lines.append("        }")
    lines += [f"        d += {kw * layout.phases * layout.plane};", "    }", "}", ""]
    return "\n".join(lines)


def convolution(name: str, step: Convolution, *, weights: str, unroll: str) -> Piece:
    """The code of a convolution, its pool and its activation.

    Parameters
    ----------
    name : str
        Prefix of its C names.
    step : Convolution
    weights, unroll : str
        As in `dumps`.
    """
    layout = _layout(step)
    positions = step.outside[1] * step.outside[2]
    padded = round_up(positions, ALIGN)
    direct = step.pool is None and padded == positions
    finish = None if direct else step.size // step.outside[0]
    definitions, calls = [], []
    column_floats = round_up(layout.size + ALIGN, ALIGN) if layout.size else 0
    source = "{x}"
    if not layout.identity:
        definitions.append(_columns_code(name, step, layout))
        calls.append(f"{name}_columns({{x}}, {{s}});")
        source = "{s}"
    if not direct:
        definitions.append(pool.over_planes(name, step, padded))
    plane = f"{{s}} + {column_floats}"

    scale = np.ones(len(step.weight), np.float32) if step.scale is None else step.scale
    shared = weights == "codes"
    values = step.weight if shared else step.weight * scale[:, None, None, None]
    matrix = values.reshape(len(values), -1)
    offsets = layout.offsets.reshape(len(values), -1)
    groups = None
    if unroll != "none" and not shared:
        groups = blocks.unrolled(name, matrix, offsets, step.bias, padded, always=unroll == "full")
    written, written_calls, together = [], [], 1
    for group in groups or []:
        written.append(group.definition)
        if finish is None:
            written_calls.append(blocks.loop(group, source, f"{{y}} + {group.start * padded}", padded))
        else:
            written_calls.append(blocks.loop(group, source, plane, padded))
            written_calls.append(f"{name}_planes({plane}, {{y}} + {group.start * finish}, {group.count});")
    if groups is None or unroll != "full":
        factor = scale if shared else None
        density = np.count_nonzero(matrix) / max(1, matrix.size)
        if unroll != "none" and not shared and step.groups == 1 and density >= dense.DENSE_FROM:
            table = dense.convolution_dense(name, matrix, offsets, step.bias, padded, finish)
            together = dense.CHANNELS
        else:
            table = tables.convolution_table(name, matrix, offsets, step.bias, factor, padded, finish, shared)
        call = f"{name}_rows({source}, {{y}}{'' if direct else ', ' + plane});"
        # Where there are fewer registers, blocks would spill: the table is the better program there.
        definitions += ["#if WIDE\n", *written, "#else\n", table, "#endif\n"] if groups else [table]
        calls += ["#if WIDE", *written_calls, "#else", call, "#endif"] if groups else [call]
    else:
        definitions += written
        calls += written_calls
    together = max([together, *(group.count for group in groups or [])])
    scratch = column_floats + (0 if direct else together * padded)
    fits = phases.suits(step) if unroll == "some" and not shared else None
    apart = blocks.cycles(matrix, offsets, padded) + 0.16 * layout.size + 0.12 * padded * len(matrix)
    if fits is not None and fits.cycles(matrix, step.inside[0]) < apart:
        definition, call = phases.phases(name, step, fits, matrix)
        data = tables.nonzeros(f"{name}_nonzero", matrix, step.bias)
        definitions = ["#if LANES == 16\n", data, definition, "#else\n", *definitions, "#endif\n"]
        calls = ["#if LANES == 16", call, "#else", *calls, "#endif"]
        scratch = max(scratch, step.inside[0] * fits.channel)
    done = not direct and (pool.activates(step) or step.activation is None)
    if step.activation is not None and not done:
        calls.append(activate("{y}", step.size, step.activation))
    past = 0 if direct else pool.PAST
    past_input = layout.identity or "spill(" in "".join(definitions)
    return Piece("".join(definitions), "\n".join(calls), scratch, reads_past=past_input, writes_past=past)
