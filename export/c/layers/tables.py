"""Sparse matrices as tables in flash, and the loops over them: weights as they are, or codes decoded on the fly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.c.layers.packing import Packed, packed
from export.c.text import Code, array, index_type

__all__ = ["Rows", "convolution_table", "cost", "longest_row", "nonzeros", "rows_code"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Tables of a matrix, and how a function reads them.

    Parameters
    ----------
    definitions : Code
    opening : str
        Statements in front of a loop over the rows `o`, in order.
    statements : str
        Statements at the top of that loop; they leave in `n`, `at` and `w` the number of the row's nonzeros, where
        each finds its input, and its weight.
    width : int
        Bits of `at`'s elements.
    """

    definitions: Code
    opening: str
    statements: str
    width: int


def cost(matrix: NDArray[np.float32]) -> float:
    """What a table costs: one for every nonzero."""
    return float(np.count_nonzero(matrix))


def longest_row(matrix: NDArray[np.float32]) -> int:
    """Nonzeros of the longest row: what a buffer for one decoded row must hold."""
    return int(np.count_nonzero(matrix, axis=1).max(initial=0))


def nonzeros(name: str, matrix: NDArray[np.float32], bias: NDArray[np.float32]) -> Code:
    """Tables `name_start`, `name_w` and `name_bias` of a matrix [rows, columns], row after row."""
    start = np.r_[0, np.cumsum(np.count_nonzero(matrix, axis=1))]
    return (
        array(f"{name}_start", start, index_type(int(start[-1])))
        + array(f"{name}_w", matrix[matrix != 0], "float")
        + array(f"{name}_bias", bias, "float")
    )


def rows_code(
    name: str,
    matrix: NDArray[np.float32],
    offsets: NDArray[np.int64] | None,
    scale: NDArray[np.float32] | None,
    shared: bool,
) -> Rows:
    """Tables of a matrix, and the statements of a loop over its rows.

    Parameters
    ----------
    name : str
    matrix : float32 [rows, columns]
    offsets : int64 [rows, columns] or None
        Where an entry finds its input; None where that is its column.
    scale : float32 [rows] or None
        Factor of every row, where the weights were left as they are shared.
    shared : bool
        Decode the row from codes, where it has at most 256 values.
    """
    form = packed(matrix) if shared else None
    if form is not None:
        return _codes(name, form, offsets, scale)
    rows, columns = np.nonzero(matrix)
    where = columns if offsets is None else offsets[rows, columns]
    width = 16 if where.max(initial=0) < 2**16 else 32
    values = matrix if scale is None else matrix * scale[:, None]
    start = np.r_[0, np.cumsum(np.count_nonzero(matrix, axis=1))]
    definitions = (
        array(f"{name}_start", start, index_type(int(start[-1])))
        + array(f"{name}_at", where, f"uint{width}_t")
        + array(f"{name}_w", values[rows, columns], "float")
    )
    statements = (
        f"const int n = (int)({name}_start[o + 1] - {name}_start[o]);\n"
        f"        const uint{width}_t *at = {name}_at + {name}_start[o];\n"
        f"        const float *w = {name}_w + {name}_start[o];"
    )
    return Rows(definitions, "", statements, width)


def _codes(
    name: str,
    form: Packed,
    offsets: NDArray[np.int64] | None,
    scale: NDArray[np.float32] | None,
) -> Rows:
    """Book and stream, a function that decodes the next row into the row buffers, and its call."""
    definitions = array(f"{name}_book", form.book, "float")
    definitions += array(f"{name}_count", form.counts, index_type(int(form.counts.max(initial=0))))
    definitions += array(f"{name}_stream", form.stream, "uint8_t")
    width = 16 if offsets is None or offsets.max(initial=0) < 2**16 else 32
    kind, element = "row_at" if width == 16 else "row_at32", f"uint{width}_t"
    where, before = "(column)", ""
    if offsets is not None:
        where = f"(start + {name}_tap[column])"
        definitions += array(f"{name}_tap", offsets[0] - offsets[0].min(), f"uint{width}_t")
        if (offsets.min(axis=1) != 0).any():
            definitions += array(f"{name}_first", offsets.min(axis=1), f"uint{width}_t")
            before = f"{name}_first[o]"
    factor = ""
    if scale is not None and (scale != 1).any():
        definitions += array(f"{name}_scale", scale, "float")
        factor = f" * {name}_scale[o]"
    definitions += Code(needs=frozenset({"take", "row_w", kind}))
    start = f"const uint32_t start = {before};" if before else "const uint32_t start = 0;"
    start = start if offsets is not None else ""
    unused = "" if before or factor else "    (void)o;\n"
    definitions += f"""static void {name}_decode(int o, int n, uint32_t *bit) {{
    uint32_t column = 0;
    {start}
{unused}    for (int k = 0; k < n; ++k) {{
        uint32_t gap;
        do {{
            gap = take({name}_stream, bit, {form.gap_bits});
            column += gap;
        }} while (gap == {2**form.gap_bits - 1});
        {kind}[k] = ({element}){where};
        row_w[k] = {name}_book[take({name}_stream, bit, {form.code_bits})]{factor};
        ++column;
    }}
}}
"""
    statements = (
        f"const int n = {name}_count[o];\n"
        f"        const {element} *at = {kind};\n"
        f"        const float *w = row_w;\n"
        f"        {name}_decode(o, n, &bit);"
    )
    return Rows(definitions, "    uint32_t bit = 0;\n", statements, width)


def convolution_table(
    name: str,
    matrix: NDArray[np.float32],
    offsets: NDArray[np.int64],
    bias: NDArray[np.float32],
    scale: NDArray[np.float32] | None,
    padded: int,
    finish: int | None,
    shared: bool,
) -> Code:
    """A convolution as a loop over the rows of a table: the definitions, with a function `name_rows(x, y, plane)`.

    `finish` is the size of a finished plane, where each goes through `plane` to be pooled; None where it is plain.
    """
    rows = rows_code(name, matrix, offsets, scale, shared)
    kernel = f"row{rows.width}"
    definitions = rows.definitions + array(f"{name}_bias", bias, "float") + Code(needs=frozenset({kernel}))
    row = f"{kernel}(x, {'y' if finish is None else 'plane'}, {name}_bias[o], n, at, w, {padded});"
    if finish is not None:
        row += f"\n        {name}_planes(plane, y, 1);"
    argument = "" if finish is None else ", float *restrict plane"
    function = f"""static void {name}_rows(const float *restrict x, float *restrict y{argument}) {{
{rows.opening}    for (int o = 0; o < {len(matrix)}; ++o, y += {padded if finish is None else finish}) {{
        {rows.statements}
        {row}
    }}
}}
"""
    return definitions + function
