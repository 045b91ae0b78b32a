"""A convolution as a sum over its nonzeros, in the form that is cheapest on each kind of machine.

Over columns, what is left of a convolution is sum += weight * columns[offset +
position]. One program serves every machine: a table, or dense blocks where few
weights are zero. Where there are 32 vector registers, blocks written out may be
cheaper; and where vectors are 512 bits wide, pooled positions in lanes, which
need no columns. Each machine has its list of candidates, and takes the cheapest.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from export.c.graph.steps import Convolution
from export.c.layers import blocks, columns, dense, phases, pool, tables
from export.c.layers.choice import Candidate, cheapest
from export.c.layers.pointwise import activate
from export.c.text import ALIGN, Code, Piece, guarded, joined, round_up

__all__ = ["convolution"]

_LAYING_OUT = 0.16
"""Cycles for a float of the columns: 2.5 for a vector of 16, which is loaded across two lines and stored in one."""

_FINISHING = 0.12
"""Cycles for a float of the planes that a pool reads: two for a vector of 16, which is stored once and loaded once."""


@dataclass(frozen=True, slots=True)
class _Form:
    """Definitions and calls in one form, and how many unfinished planes it holds at once."""

    definitions: Code
    calls: Code
    planes: int = 1


@dataclass(frozen=True, slots=True)
class _Sum:
    """What every form over columns computes.

    Parameters
    ----------
    matrix : float32 [out, taps]
        Weights; as they are shared where `scale` is apart.
    offsets : int64 [out, taps]
        Where each tap's stretch begins.
    scale : float32 [out] or None
    padded : int
        Positions, rounded up to whole vectors.
    finish : int or None
        Size of a finished plane, where each goes through `plane` to be pooled; None where it is plain.
    source, plane : str
        C expressions: the columns, the unfinished planes.
    """

    name: str
    step: Convolution
    matrix: NDArray[np.float32]
    offsets: NDArray[np.int64]
    scale: NDArray[np.float32] | None
    padded: int
    finish: int | None
    source: str
    plane: str


def _table(job: _Sum) -> _Form:
    shared = job.scale is not None
    table = tables.convolution_table(
        job.name, job.matrix, job.offsets, job.step.bias, job.scale, job.padded, job.finish, shared
    )
    return _Form(table, _rows(job))


def _dense(job: _Sum) -> _Form:
    table = dense.convolution_dense(job.name, job.matrix, job.offsets, job.step.bias, job.padded, job.finish)
    return _Form(table, _rows(job), dense.CHANNELS)


def _rows(job: _Sum) -> Code:
    return Code(f"{job.name}_rows({job.source}, {{y}}{'' if job.finish is None else ', ' + job.plane});")


def _written(job: _Sum, shape: blocks.Shape) -> _Form:
    groups = blocks.unrolled(job.name, job.matrix, job.offsets, job.step.bias, job.padded, shape)
    calls = []
    for group in groups:
        if job.finish is None:
            calls.append(blocks.loop(group, job.source, f"{{y}} + {group.start * job.padded}", job.padded))
        else:
            calls.append(blocks.loop(group, job.source, job.plane, job.padded))
            calls.append(f"{job.name}_planes({job.plane}, {{y}} + {group.start * job.finish}, {group.count});")
    return _Form(joined(group.definition for group in groups), joined(calls, "\n"), max(g.count for g in groups))


def _either(condition: str, there: _Form, elsewhere: _Form) -> _Form:
    """One form where the preprocessor finds a condition, another elsewhere."""
    if there is elsewhere:
        return there
    return _Form(
        guarded(condition, there.definitions, elsewhere.definitions),
        joined([f"#if {condition}", there.calls, "#else", elsewhere.calls, "#endif"], "\n"),
        max(there.planes, elsewhere.planes),
    )


def _anywhere(job: _Sum, unroll: str) -> list[Candidate[_Form]]:
    """Forms for every machine; the cost in nonzeros read from a table, which is what a weight costs."""
    candidates = [Candidate(tables.cost(job.matrix), partial(_table, job))]
    if unroll != "none" and job.scale is None and job.step.groups == 1:
        candidates.insert(0, Candidate(dense.cost(job.matrix, dense.DENSE_FROM), partial(_dense, job)))
    return candidates


def _registers(job: _Sum, shapes: list[blocks.Shape], portable: _Form) -> list[Candidate[_Form]]:
    """Forms where there are 32 vector registers, where there are fewer, blocks would spill; the cost in cycles."""
    return [
        *(Candidate(shape.cycles, partial(_written, job, shape)) for shape in blocks.fitting(shapes)),
        Candidate(blocks.bound(job.matrix, job.padded), lambda: portable),
    ]


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
    layout = columns.layout(step)
    positions = step.outside[1] * step.outside[2]
    padded = round_up(positions, ALIGN)
    direct = step.pool is None and padded == positions
    column_floats = round_up(layout.size + ALIGN, ALIGN) if layout.size else 0
    shared = weights == "codes"
    scale = np.ones(len(step.weight), np.float32) if step.scale is None else step.scale
    values = step.weight if shared else step.weight * scale[:, None, None, None]
    job = _Sum(
        name=name,
        step=step,
        matrix=values.reshape(len(values), -1),
        offsets=layout.offsets.reshape(len(values), -1),
        scale=scale if shared else None,
        padded=padded,
        finish=None if direct else step.size // step.outside[0],
        source="{x}" if layout.identity else "{s}",
        plane=f"{{s}} + {column_floats}",
    )
    before, opening = [], []
    if not layout.identity:
        before.append(columns.columns(name, step, layout))
        opening.append(f"{name}_columns({{x}}, {{s}});")
    if not direct:
        before.append(Code(pool.over_planes(name, step, padded)))
    shapes = [] if unroll == "none" or shared else blocks.shapes(job.matrix, job.offsets, padded)
    if shapes and unroll == "full":
        form = cheapest([Candidate(shape.cycles, partial(_written, job, shape)) for shape in shapes])
    else:
        portable = cheapest(_anywhere(job, unroll))
        form = _either("WIDE", cheapest(_registers(job, shapes, portable)), portable)
    apart = _Form(joined([*before, form.definitions]), joined([*opening, form.calls], "\n"))
    scratch = column_floats + (0 if direct else form.planes * padded)
    fits = phases.suits(step) if unroll == "some" and not shared else None
    if fits is not None:
        # Columns are laid out before they are read, and planes pooled behind; lanes of positions need neither.
        around = _LAYING_OUT * layout.size + _FINISHING * padded * len(job.matrix)
        widest = [
            Candidate(min(shape.cycles for shape in shapes) + around, lambda: apart),
            Candidate(fits.cycles(job.matrix, step.inside[0]), partial(_phases, job, fits)),
        ]
        form = cheapest(widest)
        if form is not apart:
            scratch = max(scratch, step.inside[0] * fits.channel)
        apart = _either("LANES == 16", form, apart)
    calls = [apart.calls]
    if step.activation is not None and not (not direct and pool.activates(step)):
        calls.append(activate("{y}", step.size, step.activation))
    return Piece(
        apart.definitions,
        joined(calls, "\n"),
        scratch,
        reads_past=layout.identity or "spill" in apart.definitions.needs,
        writes_past=0 if direct else pool.PAST,
    )


def _phases(job: _Sum, layout: phases.Phases) -> _Form:
    definition, call = phases.phases(job.name, job.step, layout, job.matrix)
    return _Form(tables.nonzeros(f"{job.name}_nonzero", job.matrix, job.step.bias) + definition, Code(call))
