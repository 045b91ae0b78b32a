"""A fully connected layer: a table of its nonzeros, registers permuted into lanes, dense blocks, or plain text."""

import numpy as np
from numpy.typing import NDArray

from export.c import packing, tables
from export.c.pointwise import activate
from export.c.steps import Linear
from export.c.text import Piece, array, index_type, number

__all__ = ["DENSE_FROM", "linear", "linear_batch"]

DENSE_FROM = 0.35
"""Density from which reading every weight in order is faster than reading where the nonzeros stand."""

_LANES_LIMIT = 4_000_000
"""Nonzeros beyond which arranging lanes takes too long for what it gains."""


def _values(step: Linear) -> NDArray[np.float32]:
    return step.weight if step.scale is None else (step.weight * step.scale[:, None]).astype(np.float32)


def _is_dense(step: Linear, weights: str) -> bool:
    return weights == "float" and np.count_nonzero(step.weight) >= DENSE_FROM * step.weight.size


def linear(name: str, step: Linear, *, weights: str, unroll: str) -> Piece:
    """The code of a fully connected layer and its activation; options as in `dumps`."""
    count, columns = step.weight.shape
    past = False
    if unroll == "full" and weights == "float":
        definitions, function = _text(name, step), f"{name}"
    elif _is_dense(step, weights):
        definitions, function = _dense(name, step), name
    else:
        function = name
        data, definitions = _table(name, step, weights == "codes")
        if weights == "float" and unroll == "some" and np.count_nonzero(step.weight) <= _LANES_LIMIT:
            past = True
            data = f"#if TILE || !PERMUTES\n{data}#endif\n"
            definitions = f"#if PERMUTES\n{_lanes(name, step)}#else\n{definitions}#endif\n"
        definitions = data + definitions
    if step.rows == 1:
        call = f"{function}({{x}}, {{y}});"
    else:
        call = f"for (int r = 0; r < {step.rows}; ++r) {function}({{x}} + r * {columns}, {{y}} + r * {count});"
    if step.activation is not None:
        call += "\n" + activate("{y}", step.size, step.activation)
    return Piece(definitions, call, reads_past=past)


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
    form = packing.lanes(_values(step))
    count = len(step.weight)
    rows = np.where(form.order < 0, count, form.order)
    bias = np.r_[step.bias, np.float32(0)][rows]
    last = f"if ({name}_lane_row[i] < {count}) " if (form.order < 0).any() else ""
    return (
        array(f"{name}_lane_row", rows, index_type(count))
        + array(f"{name}_lane_bias", bias, "float")
        + array(f"{name}_lane_steps", form.counts, index_type(int(form.counts.max(initial=0))))
        + array(f"{name}_lane_at", form.windows, index_type(step.weight.shape[1]))
        + array(f"{name}_lane", form.lanes, "uint8_t", aligned=True)
        + array(f"{name}_lane_w", form.weights, "float", aligned=True)
        + f"""static void {name}(const float *restrict x, float *restrict y) {{
    const {index_type(step.weight.shape[1])} *at = {name}_lane_at;
    const uint8_t *lane = {name}_lane;
    const float *w = {name}_lane_w;
    for (int b = 0; b < {form.counts.size}; ++b) {{
        vec s = SPLAT(0.0f), t = s;
        float sum[16];
        for (int k = {name}_lane_steps[b]; k > 0; k -= 2, at += 4, lane += 32, w += 32) {{
            s += LOAD(w) * PERMUTE(LOAD(x + at[0]), LOAD(x + at[1]), lane);
            t += LOAD(w + 16) * PERMUTE(LOAD(x + at[2]), LOAD(x + at[3]), lane + 16);
        }}
        STORE(sum, s + t);
        for (int j = 0; j < 16; ++j) {{
            const int i = 16 * b + j;
            {last}y[{name}_lane_row[i]] = sum[j] + {name}_lane_bias[i];
        }}
    }}
}}
"""
    )


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


def linear_batch(name: str, step: Linear, *, weights: str, unroll: str) -> str:
    """The same layer for TILE images at once, image innermost: every nonzero is one multiply-add per vector."""
    matrix = _values(step)
    definitions = ""
    if (unroll == "full" and weights == "float") or _is_dense(step, weights):
        definitions, statements, width = tables.rows_code(f"{name}_many", matrix, None, None, False)
        definitions += array(f"{name}_many_bias", step.bias, "float")
        bias, bit = f"{name}_many_bias", ""
    else:
        shared = weights == "codes"
        _, statements, width = tables.rows_code(name, step.weight if shared else matrix, None, step.scale, shared)
        bias = f"{name}_bias"
        bit = "    uint32_t bit = 0;\n" if "&bit" in statements else ""
    definitions += f"""static void {name}_tile(const float *restrict x, float *restrict y) {{
{bit}    for (int o = 0; o < {len(matrix)}; ++o) {{
        {statements}
        tile{width}(x, y + o * TILE, {bias}[o], n, at, w);
    }}
}}
"""
    return definitions
