"""A fully connected layer: a table of its nonzeros, registers permuted into lanes, dense blocks, or plain text."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from export.c.graph.steps import Linear
from export.c.layers import dense, lanes, tables
from export.c.layers.choice import Candidate, cheapest
from export.c.layers.pointwise import activate
from export.c.text import TILE, Code, Piece, array, guarded, joined, number, round_up

__all__ = ["DENSE_FROM", "linear", "linear_batch"]

DENSE_FROM = 0.35
"""What a weight in order costs in nonzeros: the density from which reading all of them is faster than where they stand.

Measured for 784 × 300 on an Intel Xeon with AVX-512, one image: in order 9 µs, through lanes as much at a density of
0.44, by a table at 0.10. One value stands for both, and for machines with shorter vectors, where reading in order gains
less; in flash a nonzero of a table takes 6 bytes and a weight in order 4, so that 0.67 would be even."""

_ONE_BY_ONE = 4.0
"""What a table's nonzero costs in nonzeros read through lanes: 3.3 (density 0.1) to 4.7 (0.5) as measured there."""

_LANES_LIMIT = 4_000_000
"""Nonzeros beyond which arranging lanes takes too long for what it gains: half a minute a million, two minutes here."""


def _values(step: Linear) -> NDArray[np.float32]:
    return step.weight if step.scale is None else (step.weight * step.scale[:, None]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Form:
    """Definitions of a function `name(x, y)`, tables that `linear_batch` reads with it, and floats around x and y."""

    definitions: Code
    tables: Code
    past: int = 0


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
    portable = cheapest(_anywhere(name, step, weights, unroll))
    permuted = cheapest(_permutes(name, step, weights, unroll, portable))
    definitions, past = portable.tables + portable.definitions, 0
    if permuted is not portable:
        past = permuted.past
        unless = "TILE || !PERMUTES" if tiled else "!PERMUTES"
        definitions = Code(f"#if {unless}\n") + portable.tables + "#endif\n"
        definitions += guarded("PERMUTES", permuted.definitions, portable.definitions)
    call = f"{name}({{x}}, {{y}});"
    if step.rows > 1:
        call = f"for (int r = 0; r < {step.rows}; ++r) {name}({{x}} + r * {columns}, {{y}} + r * {count});"
    calls: list[Code | str] = [call]
    if step.activation is not None:
        calls.append(activate("{y}", step.size, step.activation))
    return Piece(definitions, joined(calls, "\n"), reads_past=past > 0, writes_past=past)


def _costs(step: Linear, weights: str) -> dict[str, float]:
    """Costs in nonzeros read from a table, the table last; dense blocks hold weights as they are: none for codes."""
    costs = {"dense": dense.cost(step.weight, DENSE_FROM)} if weights == "float" else {}
    return {**costs, "table": tables.cost(step.weight)}


def _anywhere(name: str, step: Linear, weights: str, unroll: str) -> list[Candidate[_Form]]:
    """Forms for every machine: text alone where it was asked for, for however long it is."""
    if unroll == "full" and weights == "float":
        return [Candidate(0.0, partial(_text, name, step))]
    write = {"dense": partial(_dense, name, step), "table": partial(_table, name, step, weights == "codes")}
    return [Candidate(cost, write[form]) for form, cost in _costs(step, weights).items()]


def _permutes(name: str, step: Linear, weights: str, unroll: str, portable: _Form) -> list[Candidate[_Form]]:
    """Forms where registers permute each other; the cost in nonzeros read through lanes, `portable` whichever it is."""
    costs = _costs(step, weights)
    rest = {**costs, "table": _ONE_BY_ONE * costs["table"]}
    candidates = [Candidate(cost, lambda: portable) for cost in rest.values()]
    if weights == "float" and unroll == "some" and np.count_nonzero(step.weight) <= _LANES_LIMIT:
        candidates.insert(-1, Candidate(costs["table"], partial(_lanes, name, step)))
    return candidates


def _lanes(name: str, step: Linear) -> _Form:
    return _Form(lanes.through_lanes(name, _values(step), step.bias), Code(), past=16)


def _table(name: str, step: Linear, shared: bool) -> _Form:
    """Tables of the nonzeros, and the function that reads them."""
    matrix = step.weight if shared else _values(step)
    rows = tables.rows_code(name, matrix, None, step.scale if shared else None, shared)
    kernel = f"dot{rows.width}"
    function = f"""static void {name}(const float *restrict x, float *restrict y) {{
{rows.opening}    for (int o = 0; o < {len(matrix)}; ++o) {{
        {rows.statements}
        y[o] = {kernel}(x, {name}_bias[o], n, at, w);
    }}
}}
"""
    data = rows.definitions + array(f"{name}_bias", step.bias, "float")
    return _Form(Code(function, frozenset({kernel})), data)


def _dense(name: str, step: Linear) -> _Form:
    """Sixteen rows at a time, column after column."""
    count, columns = step.weight.shape
    padded = np.zeros((round_up(count, 16), columns), dtype=np.float32)
    padded[:count] = _values(step)
    blocks = padded.reshape(-1, 16, columns).transpose(0, 2, 1)
    data = array(f"{name}_w", blocks, "float", aligned=True) + array(f"{name}_bias", step.bias, "float")
    function = f"""static void {name}(const float *restrict x, float *restrict y) {{
    const float *w = {name}_w;
    for (int o = 0; o < {count}; o += 16, w += {columns * 16}) {{
        float sum[16];
        dense16(x, sum, w, {columns});
        for (int i = 0; i < 16 && o + i < {count}; ++i) y[o + i] = sum[i] + {name}_bias[o + i];
    }}
}}
"""
    return _Form(Code(function, frozenset({"dense16"})), data)


def _text(name: str, step: Linear) -> _Form:
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
    return _Form(Code("\n".join([*lines, "}", ""])), Code())


def linear_batch(name: str, step: Linear, *, weights: str, unroll: str) -> tuple[Code, str]:
    """The same layer for TILE images at once, image innermost: every nonzero is one multiply-add per vector.

    Returns the definitions, and the function `f(x, y)`, which does not activate.
    """
    write = {
        "dense": partial(_tile_dense, name, step),
        "table": partial(_tile_table, name, step, weights == "codes", unroll == "full" and weights == "float"),
    }
    return cheapest([Candidate(cost, write[form]) for form, cost in _costs(step, weights).items()])


def _tile_dense(name: str, step: Linear) -> tuple[Code, str]:
    matrix = _values(step)
    offsets = np.broadcast_to(np.arange(matrix.shape[1]) * TILE, matrix.shape)
    return dense.convolution_dense(f"{name}_tile", matrix, offsets, step.bias, TILE, None), f"{name}_tile_rows"


def _tile_table(name: str, step: Linear, shared: bool, own: bool) -> tuple[Code, str]:
    """`own`: the layer for one image has no table that this could read, too."""
    matrix = step.weight if shared else _values(step)
    named = f"{name}_tile" if own else name
    rows = tables.rows_code(named, matrix, None, step.scale if shared else None, shared)
    definitions = rows.definitions + array(f"{named}_bias", step.bias, "float") if own else Code()
    kernel = f"tile{rows.width}"
    function = f"""static void {name}_tile(const float *restrict x, float *restrict y) {{
{rows.opening}    for (int o = 0; o < {len(matrix)}; ++o) {{
        {rows.statements}
        {kernel}(x, y + o * TILE, {named}_bias[o], n, at, w);
    }}
}}
"""
    return definitions + Code(function, frozenset({kernel})), f"{name}_tile"
