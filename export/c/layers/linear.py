"""A fully connected layer: a table of its nonzeros, registers permuted into lanes, dense blocks, or plain text."""

import numpy as np
from numpy.typing import NDArray

from export.c.layers import dense, packing, tables
from export.c.layers.pointwise import activate
from export.c.graph.steps import Linear
from export.c.text import TILE, Piece, array, index_type, number

__all__ = ["DENSE_FROM", "linear", "linear_batch"]

DENSE_FROM = 0.35
"""Density from which reading every weight in order is faster than reading where the nonzeros stand."""

_LANES_LIMIT = 4_000_000
"""Nonzeros beyond which arranging lanes takes too long for what it gains."""


_IDLE = 32
"""Code of a lane that has nothing to do where all 32 weights are taken: BUSY makes its weight zero."""


def _values(step: Linear) -> NDArray[np.float32]:
    return step.weight if step.scale is None else (step.weight * step.scale[:, None]).astype(np.float32)


def _is_dense(step: Linear, weights: str) -> bool:
    return weights == "float" and int(np.count_nonzero(step.weight)) >= DENSE_FROM * step.weight.size


def linear(name: str, step: Linear, *, weights: str, unroll: str, tiled: bool) -> Piece:
    """The code of a fully connected layer and its activation.

    Parameters
    ----------
    name : str
    step : Linear
    weights, unroll : str
        As in `dumps`.
    tiled : bool
        Whether `linear_batch` writes the layer, too, and reads the same table.
    """
    count, columns = step.weight.shape
    past, writes = False, 0
    if unroll == "full" and weights == "float":
        definitions, function = _text(name, step), f"{name}"
    elif _is_dense(step, weights):
        definitions, function = _dense(name, step), name
    else:
        function = name
        data, definitions = _table(name, step, weights == "codes")
        if weights == "float" and unroll == "some" and np.count_nonzero(step.weight) <= _LANES_LIMIT:
            past, writes = True, 16
            data = f"#if {'TILE || ' if tiled else ''}!PERMUTES\n{data}#endif\n"
            definitions = f"#if PERMUTES\n{_lanes(name, step)}#else\n{definitions}#endif\n"
        definitions = data + definitions
    if step.rows == 1:
        call = f"{function}({{x}}, {{y}});"
    else:
        call = f"for (int r = 0; r < {step.rows}; ++r) {function}({{x}} + r * {columns}, {{y}} + r * {count});"
    if step.activation is not None:
        call += "\n" + activate("{y}", step.size, step.activation)
    return Piece(definitions, call, reads_past=past, writes_past=writes)


def _table(name: str, step: Linear, shared: bool) -> tuple[str, str]:
    """Tables of the nonzeros, and the function that reads them."""
    matrix = step.weight if shared else _values(step)
    scale = step.scale if shared else None
    definitions, statements, width = tables.rows_code(name, matrix, None, scale, shared)
    bit = "    uint32_t bit = 0;\n" if "&bit" in statements else ""
    definitions += array(f"{name}_bias", step.bias, "float")
    function = f"""static void {name}(const float *restrict x, float *restrict y) {{
{bit}    for (int o = 0; o < {len(matrix)}; ++o) {{
        {statements}
        y[o] = dot{width}(x, {name}_bias[o], n, at, w);
    }}
}}
"""
    return definitions, function


def _dense(name: str, step: Linear) -> str:
    """Sixteen rows at a time, column after column."""
    count, columns = step.weight.shape
    padded = np.zeros((-(-count // 16) * 16, columns), dtype=np.float32)
    padded[:count] = _values(step)
    blocks = padded.reshape(-1, 16, columns).transpose(0, 2, 1)
    return (
        array(f"{name}_w", blocks, "float", aligned=True)
        + array(f"{name}_bias", step.bias, "float")
        + f"""static void {name}(const float *restrict x, float *restrict y) {{
    const float *w = {name}_w;
    for (int o = 0; o < {count}; o += 16, w += {columns * 16}) {{
        float sum[16];
        dense16(x, sum, w, {columns});
        for (int i = 0; i < 16 && o + i < {count}; ++i) y[o + i] = sum[i] + {name}_bias[o + i];
    }}
}}
"""
    )


def _lanes(name: str, step: Linear) -> str:
    """Sixteen rows in the lanes of a register; each step permutes 32 inputs into them."""
    form = packing.lanes(_values(step))
    count, columns = step.weight.shape
    rows = np.where(form.order < 0, count, form.order)
    in_order = bool((form.order[:count] == np.arange(count)).all())
    at, steps = index_type(max(256, columns)), index_type(int(form.counts.max(initial=0)))
    book = np.unique(form.weights[form.weights != 0])
    shared = book.size <= 32
    definitions = array(f"{name}_lane_bias", np.r_[step.bias, np.float32(0)][rows], "float", aligned=True)
    definitions += array(f"{name}_lane_steps", form.counts, steps)
    definitions += array(f"{name}_lane_at", form.windows, at)
    if shared:
        # Input in the lowest five bits, which are all that a permutation looks at; weight in the next; then idleness.
        padded = np.zeros(32, dtype=np.float32)
        padded[: book.size] = book
        definitions += array(f"{name}_lane_book", padded, "float", aligned=True)
        idle = book.size if book.size < 32 else _IDLE
        codes = np.where(form.weights != 0, np.searchsorted(book, form.weights), idle)
        definitions += array(f"{name}_lane", form.lanes + codes * 32, "uint16_t", aligned=True)
        kind, weights, advance = "uint16_t", "", ""
        opening = f"\n    const vec low = LOAD({name}_lane_book), high = LOAD({name}_lane_book + 16);"
        weight = "PERMUTE(low, high, p >> 5)" if idle < 32 else "BUSY(PERMUTE(low, high, p >> 5), p)"
    else:
        definitions += array(f"{name}_lane", form.lanes, "uint8_t", aligned=True)
        definitions += array(f"{name}_lane_w", form.weights, "float", aligned=True)
        kind, opening, weight = "uint8_t", "", "LOAD(w + {0})"
        weights, advance = f"    const float *w = {name}_lane_w;\n", f", w += {16 * packing.STEPS}"
    last = f"STORE(y + 16 * b, LOAD({name}_lane_bias + 16 * b) + ((a0 + a1) + (a2 + a3)));"
    if not in_order:
        definitions += array(f"{name}_lane_row", rows, index_type(count))
        last = f"""float sum[16];
        STORE(sum, LOAD({name}_lane_bias + 16 * b) + ((a0 + a1) + (a2 + a3)));
        for (int i = 0; i < 16; ++i) y[{name}_lane_row[16 * b + i]] = sum[i];"""
    widen = "WIDEN16" if shared else "WIDEN8"
    sums, windows = "", ""
    for i in range(packing.STEPS):
        first, second = f"at[{2 * i}]", f"at[{2 * i + 1}]"
        if at == "uint16_t":
            # One load for four windows: loads are what this loop waits for.
            if i % 2 == 0:
                windows += (
                    f"\n            uint64_t from{i};\n            memcpy(&from{i}, at + {2 * i}, sizeof from{i});"
                )
            shift = 32 * (i % 2)
            first, second = (f"(from{i - i % 2} >> {shift + 16 * side} & 65535u)" for side in (0, 1))
        sums += f"""
            {{
                const lanes16 p = {widen}(lane + {16 * i});
                a{i} += {weight.format(16 * i)} * PERMUTE(LOAD(x + {first}), LOAD(x + {second}), p);
            }}"""
    side = packing.STEPS
    advance = f"k -= {side}, at += {2 * side}, lane += {16 * side}{advance}"
    return f"""{definitions}static void {name}(const float *restrict x, float *restrict y) {{
    const {at} *at = {name}_lane_at;
    const {kind} *lane = {name}_lane;
{weights}{opening}
    for (int b = 0; b < {form.counts.size}; ++b) {{
        vec a0 = SPLAT(0.0f), a1 = a0, a2 = a0, a3 = a0;
        for (int k = {name}_lane_steps[b]; k > 0; {advance}) {{{windows}{sums}
        }}
        {last}
    }}
}}
"""


def _text(name: str, step: Linear) -> str:
    """Every nonzero as text."""
    matrix = _values(step)
    lines = [f"static void {name}(const float *restrict x, float *restrict y) {{"]
    if not matrix.any():
        lines.append("    (void)x;")
    for row in range(len(matrix)):
        terms = [f" + {number(matrix[row, j])} * x[{j}]" for j in np.flatnonzero(matrix[row])]
        lines.append(f"    y[{row}] = {number(step.bias[row])}")
        lines += ["        " + "".join(terms[i : i + 4]) for i in range(0, len(terms), 4)]
        lines[-1] += ";"
    return "\n".join([*lines, "}", ""])


def linear_batch(name: str, step: Linear, *, weights: str, unroll: str) -> tuple[str, str]:
    """The same layer for TILE images at once, image innermost: every nonzero is one multiply-add per vector.

    Returns the definitions, and the function `f(x, y)`, which does not activate.
    """
    matrix = _values(step)
    count, columns = matrix.shape
    definitions, shared = "", weights == "codes"
    if _is_dense(step, weights):
        offsets = np.broadcast_to(np.arange(columns) * TILE, matrix.shape)
        return dense.convolution_dense(f"{name}_tile", matrix, offsets, step.bias, TILE, None), f"{name}_tile_rows"
    if unroll == "full" and not shared:
        definitions, statements, width = tables.rows_code(f"{name}_tile", matrix, None, None, False)
        definitions += array(f"{name}_tile_bias", step.bias, "float")
        bias = f"{name}_tile_bias"
    else:
        _, statements, width = tables.rows_code(name, step.weight if shared else matrix, None, step.scale, shared)
        bias = f"{name}_bias"
    bit = "    uint32_t bit = 0;\n" if "&bit" in statements else ""
    definitions += f"""static void {name}_tile(const float *restrict x, float *restrict y) {{
{bit}    for (int o = 0; o < {count}; ++o) {{
        {statements}
        tile{width}(x, y + o * TILE, {bias}[o], n, at, w);
    }}
}}
"""
    return definitions, f"{name}_tile"
