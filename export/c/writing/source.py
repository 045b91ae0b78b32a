"""The whole C file and its header, put together from the code of the steps."""

import re
from math import prod

from export.c import kernels
from export.c.graph.steps import (
    Add,
    Affine,
    Concat,
    Convolution,
    Linear,
    Pointwise,
    Pool,
    Program,
    Softmax,
    Step,
    Transpose,
)
from export.c.layers import linear, pointwise, pool, tables
from export.c.layers.convolution import convolution
from export.c.layers.images import Images, images
from export.c.text import Code, Piece, guarded, joined
from export.c.writing import batch
from export.c.writing.header import header_text
from export.c.writing.memory import Layout, Request, place

__all__ = ["SLACK", "source"]

WIDEST = 16
"""Floats of the widest vector: those of AVX-512."""

SLACK = 64
"""Floats behind the workspace that vectors may read past the end of a value: a window of lanes up to 15, a pool of two
by two up to 30 where its last vector holds one pair; 64 is clear of both."""

_ROW_BUFFERS = {"row_w": "float", "row_at": "uint16_t", "row_at32": "uint32_t"}
"""Buffers for one decoded row, and their elements."""


def source(program: Program, stem: str, *, weights: str, unroll: str) -> dict[str, bytes]:
    """Write a program as `.c` and `.h`.

    Parameters
    ----------
    program : Program
    stem : str
        Name of the file; the functions are called `stem_run` and `stem_run_batch`.
    weights, unroll : str
        As in `dumps`.
    """
    macro = stem.upper()
    end = batch.tail(program)
    pieces = [
        _piece(_prefix(i, step), step, weights, unroll, tiled=end is not None and i >= end)
        for i, step in enumerate(program.steps)
    ]
    layout, calls, features = _calls(program, pieces)
    body = joined(piece.definitions + "\n" for piece in pieces if piece.definitions)
    tile, front = batch.Tile(Code(), Code(), "", 0), None
    if end is not None:
        tile = batch.tile(program, end, weights=weights, unroll=unroll)
        if weights == "float" and unroll == "some":
            front = images(program.steps[:end], program.input_shape, program.input)
    floats = layout.size + SLACK if layout.size else 0
    wide = _wide(front) if front else Code()
    tiled = guarded("TILE", tile.definitions) if end is not None else Code()
    needs = frozenset[str]().union(
        *(code.needs for code in (body, tile.definitions, tile.calls)),
        *(piece.calls.needs for piece in pieces),
        front.calls.needs if front else (),
    )
    rows = {name: kind for name, kind in _ROW_BUFFERS.items() if name in needs}
    longest = _longest_row(program) if rows else 0
    text = "\n".join(
        [
            f"/* {stem}.c: a network whose zeros do not exist, generated. Compile with",
            f"       cc -std=c99 -O3 -march=native -ffp-contract=fast -c {stem}.c",
            "   Its workspace is static: one call at a time. */",
            f'#include "{stem}.h"',
            "",
            "#include <math.h>",
            "#include <stdint.h>",
            "#include <string.h>",
            "",
            kernels.vectors(macro),
            f"#define TILE {macro if end is not None else ''}{'_TILE' if end is not None else '0'}",
            "",
            *([f"static float workspace[{floats}] ALIGNED;"] if floats else []),
            *(f"static {kind} {name}[{longest}];" for name, kind in rows.items()),
            *([f"#if TILE\nstatic float tile[{tile.size} * TILE] ALIGNED;\n#endif"] if end is not None else []),
            "",
            kernels.functions(needs - rows.keys()),
            body.text,
            *([wide.text] if front else []),
            *([tiled.text] if end is not None else []),
            batch.runs(program, calls, end, tile, front, features, stem, macro),
        ]
    )
    ram = floats * 4 + longest * sum(2 if kind == "uint16_t" else 4 for kind in rows.values())
    header = header_text(
        program,
        stem,
        ram_bytes=ram,
        tile_bytes=tile.size * 4,
        wide_bytes=front.size * WIDEST * 4 if front else 0,
        table_bytes=body.table_bytes,
    )
    return {".c": text.encode("ascii"), ".h": header.encode("ascii")}


def _wide(front: Images) -> Code:
    """The convolutions for many images, and the values between them."""
    room = f"static float wide[{front.size} * {WIDEST}] ALIGNED;\n"
    return guarded("TILE && WIDE", Code(room + kernels.kernel("together")) + front.definitions)


def _prefix(index: int, step: Step) -> str:
    return f"s{index}_{type(step).__name__.lower()}"


def _longest_row(program: Program) -> int:
    """Elements of a buffer that holds any one decoded row."""
    weights = [step.weight for step in program.steps if isinstance(step, Convolution | Linear)]
    return max(1, *(tables.longest_row(weight.reshape(len(weight), -1)) for weight in weights))


def _piece(name: str, step: Step, weights: str, unroll: str, *, tiled: bool) -> Piece:
    match step:
        case Convolution():
            return convolution(name, step, weights=weights, unroll=unroll)
        case Linear():
            return linear.linear(name, step, weights=weights, unroll=unroll, tiled=tiled)
        case Pool():
            return pool.pool(name, step)
        case Pointwise():
            return pointwise.pointwise(name, step)
        case Affine():
            return pointwise.affine(name, step)
        case Add():
            return pointwise.add(name, step)
        case Softmax():
            return pointwise.softmax(name, step)
        case Concat():
            return pointwise.concat(name, step)
        case Transpose():
            return pointwise.transpose(name, step)
    raise AssertionError(f"a step without code: {type(step).__name__}")


def _calls(program: Program, pieces: list[Piece]) -> tuple[Layout, list[str], list[str]]:
    """Place every value.

    Returns the layout; the calls of every step, in front of them the copy of the input (or nothing) and behind them
    that of the output (or nothing); and, for every step, where it finds its first input.
    """
    last: dict[str, int] = {program.output: len(pieces)}
    for i, step in enumerate(program.steps):
        for name in step.inputs:
            last[name] = max(i, last.get(name, 0))
    copied = any(p.reads_past and program.input in s.inputs for p, s in zip(pieces, program.steps, strict=True))
    reread = any(program.output in step.inputs for step in program.steps) or program.output == program.input
    reread = reread or pieces[-1].writes_past > 0
    taken = prod(program.input_shape)
    requests = [Request("value " + program.input, taken, -1, last.get(program.input, 0))] if copied else []
    for i, (step, piece) in enumerate(zip(program.steps, pieces, strict=True)):
        if step.output != program.output or reread:
            size = step.size + piece.writes_past
            requests.append(Request("value " + step.output, size, i, last.get(step.output, i)))
        if piece.scratch:
            requests.append(Request(f"scratch {i}", piece.scratch, i, i))
    layout = place(requests)

    def where(name: str) -> str:
        if name == program.input and not copied:
            return "input"
        if name == program.output and not reread:
            return "output"
        return f"workspace + {layout.offsets['value ' + name]}"

    calls = [f"memcpy({where(program.input)}, input, {taken} * sizeof(float));" if copied else ""]
    for i, (step, piece) in enumerate(zip(program.steps, pieces, strict=True)):
        names = {f"x{j or ''}": where(name) for j, name in enumerate(step.inputs)}
        scratch = f"workspace + {layout.offsets[f'scratch {i}']}" if piece.scratch else ""
        call = piece.calls.text.format(y=where(step.output), s=scratch, **names)
        calls.append(f"/* {_comment(step.name)} */\n{call}")
    total = prod(program.output_shape)
    calls.append(f"memcpy(output, {where(program.output)}, {total} * sizeof(float));" if reread else "")
    return layout, calls, [where(step.inputs[0]) for step in program.steps]


def _comment(name: str) -> str:
    """A node's name, safe within a comment."""
    return re.sub(r"[^A-Za-z0-9_.: -]", "_", name)
