"""A convolution's input laid out as columns, so that a nonzero is a multiple of one contiguous stretch.

For every input channel, every horizontal tap and every phase of the vertical
stride, a plane whose rows are already those of the result (padding, stride and
dilation done). Then a weight at (channel, ky, kx) multiplies one contiguous
stretch, from its offset on, for all output positions at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.c.graph.steps import Convolution
from export.c.text import ALIGN, Code, round_up

__all__ = ["Columns", "columns", "layout"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where an input lies: planes of `plane` floats, `kx` × `phases` of them per channel; `rows` rows each."""

    rows: int
    plane: int
    phases: int
    identity: bool
    offsets: NDArray[np.int64]
    size: int


def layout(step: Convolution) -> Columns:
    """The planes that a step reads, or the input as it is where that serves."""
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
    return Columns(rows, plane, phases, identity, offsets, 0 if identity else channels * kw * phases * plane)


def columns(name: str, step: Convolution, layout: Columns) -> Code:
    """The function that lays out the columns: for each channel, tap and phase, rows of the result's width."""
    channels, height, width = step.inside
    out_width = step.outside[2]
    kh, kw = step.weight.shape[2:]
    (sy, sx), (dy, dx), (top, left) = step.strides, step.dilations, step.pads[:2]
    used = sorted({(y * dy) % sy for y in range(kh)})
    needs = set()
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
                    needs.add(move)
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
    return Code("\n".join(lines), frozenset(needs))
