"""The nodes behind every kind of code: values scattered along their gaps, tensors cut apart and shaped."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.elements import ELEMENTS
from compress.representation import CodedTensor
from export.onnx.decoder.builder import Builder
from export.onnx.decoder.bundle import Bundle
from export.onnx.decoder.tables import Segment

__all__ = ["as_half", "finish_tensor", "shift_rows", "value_table", "write_halves", "write_tensors", "write_zeros"]

_BYTES_OF_HALVES = 64
"""What the nodes and the constant take that stand in the place of one tensor."""

_LEAST_BITS_DECODED = 8
"""NumPy and most operators know no four-bit integers: they are decoded as bytes, and a Cast comes last."""


def shift_rows(builder: Builder, rows: str, runs: Sequence[Segment], *, column: bool = False) -> str:
    """Add every run's delta to its codes, which gives the rows of their values."""
    deltas = [run.delta for run in runs]
    if not any(deltas):
        return rows
    if len(set(deltas)) == 1:
        return builder.op("Add", rows, builder.ints(deltas[0]))
    symbols = list(accumulate((run.count for run in runs), initial=0))
    changes = [
        (at, after - before)
        for at, (before, after) in zip(symbols[:-1], pairwise([0, *deltas]), strict=True)
        if before != after
    ]
    at, rises = zip(*changes, strict=True)
    zeros = builder.zeros((symbols[-1], 1) if column else (symbols[-1],), np.int32)
    return builder.op("Add", rows, builder.staircase(zeros, at, rises, column=column))


def value_table(builder: Builder, table: NDArray[np.generic]) -> str:
    """The table of values; float32 is stored as float16 where that is exact."""
    half = as_half(table)
    return builder.constant(table) if half is None else builder.cast(builder.constant(half), np.float32)


def as_half(array: NDArray[np.generic]) -> NDArray[np.float16] | None:
    """A float32 array as float16, where every bit comes back."""
    if array.dtype != np.float32:
        return None
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if half.astype(np.float32).tobytes() == array.tobytes() else None


def write_halves(builder: Builder, tensors: Mapping[str, NDArray[np.float32]]) -> set[str]:
    """Write those tensors that float16 holds exactly in half their bytes; returns their names.

    None is written where the nodes for it take more than it saves.
    """
    halves = {name: half for name, array in tensors.items() if (half := as_half(array)) is not None and half.ndim == 1}
    if sum(half.nbytes for half in halves.values()) < _BYTES_OF_HALVES + 4 * len(halves):
        return set()
    joined = builder.cast(builder.constant(np.concatenate(list(halves.values()))), np.float32)
    if len(halves) == 1:
        builder.op("Reshape", joined, builder.ints([-1], "int64"), out=next(iter(halves)))
    else:
        builder.split(joined, [half.size for half in halves.values()], list(halves))
    return set(halves)


def write_tensors(builder: Builder, bundle: Bundle, gaps: str | None, values: str, *, column: bool = False) -> None:
    """Write the tensors of a bundle: scatter the values along their gaps, cut them apart, give them their shapes.

    Parameters
    ----------
    builder : Builder
    bundle : Bundle
    gaps : str or None
        int32 [codes], None where every element has a code.
    values : str
        One per code, of the bundle's type; of any shape where the bundle has one part and no gaps.
    column : bool
        Gaps and values are [codes, 1].
    """
    if gaps is not None:
        zeros = builder.zeros((bundle.elements, 1) if column else (bundle.elements,), bundle.dtype)
        values = builder.op("ScatterElements", zeros, builder.cumsum(gaps), values)
    pieces = [values]
    if len(bundle.parts) > 1:
        names = [part.name if _is_flat(part) and not column else None for part in bundle.parts]
        pieces = builder.split(values, [part.size for part in bundle.parts], names)
    for part, piece in zip(bundle.parts, pieces, strict=True):
        if _is_flat(part) and not column and len(pieces) > 1:
            continue
        finish_tensor(builder, part, "Reshape", [piece, builder.ints(list(part.stored_shape), "int64")])


def finish_tensor(builder: Builder, part: CodedTensor, operator: str, inputs: Sequence[str], **attributes: Any) -> None:
    """Append the node that gives the elements of a part their shape; then their own order of axes and element type."""
    steps: list[tuple[str, dict[str, Any]]] = [(operator, attributes)]
    if part.restoring_axes is not None:
        steps.append(("Transpose", {"perm": list(part.restoring_axes)}))
    kind = ELEMENTS[part.element]
    if kind.bits < _LEAST_BITS_DECODED:
        steps.append(("Cast", {"to": kind.onnx}))
    for number, (own, settings) in enumerate(steps, 1):
        out = part.name if number == len(steps) else None
        inputs = [builder.op(own, *inputs, out=out, **settings)]


def write_zeros(builder: Builder, part: CodedTensor) -> None:
    """Write a tensor of which nothing is left."""
    kind = ELEMENTS[part.element]
    if kind.bits < _LEAST_BITS_DECODED:
        builder.op("Cast", builder.zeros(part.shape, part.dtype), out=part.name, to=kind.onnx)
    else:
        builder.zeros(part.shape, part.dtype, out=part.name)


def _is_flat(part: CodedTensor) -> bool:
    return len(part.shape) == 1 and ELEMENTS[part.element].bits >= _LEAST_BITS_DECODED
