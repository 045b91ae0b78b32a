"""What a tensor's codes mean, in version 2: order of axes, groups, codebooks, grids (FORMAT.md, 11)."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter
from compress.coding.floats import read_centroids, read_floats, write_centroids, write_floats
from compress.coding.streams import StreamModels
from compress.elements import ELEMENTS, Element
from compress.errors import CorruptFileError
from compress.representation import Codebook, CodedTensor, Grid

__all__ = ["Layout", "exact", "read_codebook", "read_layout", "write_codebook", "write_layout"]

_FIRST_ORDER = 4  # FORMAT.md, section 11.3
_MAX_FIRST = (1 << 17) - 1  # section 11.3
_MAX_ORDER = 7  # section 11.4


@dataclass(frozen=True, slots=True)
class Layout:
    """How the elements of a tensor are counted, and what kind of codebook tells what the codes mean."""

    axes: tuple[int, ...]
    group_size: int
    groups: int
    grid: bool


def write_layout(out: BitWriter, tensor: CodedTensor) -> None:
    """Append the order of the axes, the size of a group, and whether there is a grid (FORMAT.md, section 11.3)."""
    reordered = tensor.restoring_axes is not None
    out.write(int(reordered), 1)
    if reordered:
        rest = list(range(len(tensor.axes)))
        for axis in tensor.axes:
            out.write_bounded(rest.index(axis), len(rest) - 1)
            rest.remove(axis)
    grouped = tensor.group_size < tensor.size
    out.write(int(grouped), 1)
    if grouped:
        out.write_bounded(tensor.group_size - 1, tensor.size - 2)
    out.write(int(isinstance(tensor.codebook, Grid)), 1)


def read_layout(reader: BitReader, shape: tuple[int, ...], element: Element, thing: str) -> Layout:
    """Read what `write_layout` wrote.

    Raises
    ------
    CorruptFileError
    """
    natural, size = tuple(range(len(shape))), prod(shape)
    axes = natural
    if reader.read(1, f"{thing}, axes"):
        rest = list(natural)
        axes = tuple(rest.pop(reader.read_bounded(len(rest) - 1, f"{thing}, axes")) for _ in natural)
        if axes == natural:
            raise CorruptFileError(f"{thing}, axes: found their own order told, allowed another one")
    group_size = max(size, 1)
    if reader.read(1, f"{thing}, groups"):
        if size < 2:
            raise CorruptFileError(f"{thing}, groups: found groups of {size} elements, allowed 2 elements or more")
        group_size = reader.read_bounded(size - 2, f"{thing}, groups") + 1
    grid = bool(reader.read(1, f"{thing}, grid"))
    if grid and not element.floating:
        raise CorruptFileError(f"{thing}: found a grid of {element.name}, allowed a codebook")
    return Layout(axes, group_size, max(1, -(-size // group_size)), grid)


def write_codebook(out: BitWriter, tensor: CodedTensor, scales: StreamModels) -> None:
    """Append the codebooks or the grid of a tensor (FORMAT.md, section 11.4)."""
    codebook, element = tensor.codebook, ELEMENTS[tensor.element]
    if isinstance(codebook, Grid):
        first = codebook.first
        out.write_golomb(2 * first if first >= 0 else -2 * first - 1, _FIRST_ORDER)
        write_floats(out, codebook.scales, scales)
        return
    for row in codebook.centroids if codebook.size else ():
        if element.floating:
            write_centroids(out, row.astype(np.float32), signed_zero=True)
        else:
            _write_integers(out, row.astype(np.int64).tolist(), element)


def read_codebook(
    reader: BitReader, layout: Layout, bits: int, size: int, element: Element, scales: StreamModels, thing: str
) -> Codebook | Grid:
    """Read what `write_codebook` wrote; the caller has checked that so many values may be allocated.

    Raises
    ------
    CorruptFileError
    """
    if layout.grid:
        folded = reader.read_golomb(_FIRST_ORDER, f"{thing}, first")
        if folded >= _MAX_FIRST:
            raise CorruptFileError(f"{thing}, first: found {folded}, allowed below {_MAX_FIRST}")
        steps = read_floats(reader, layout.groups, scales, f"{thing}, scales")
        if not size or not (steps > 0).all():
            raise CorruptFileError(f"{thing}: found a grid without steps, allowed positive scales and 1 code or more")
        first = -(folded // 2) - 1 if folded % 2 else folded // 2
        grid = Grid(steps, first, size, bits)
        if not np.isfinite(grid.values(element.dtype).astype(np.float32)).all():
            raise CorruptFileError(f"{thing}: found a grid beyond the range of {element.name}, allowed finite values")
        return grid
    rows = np.zeros((layout.groups, size), element.dtype)
    for row in rows if size else ():
        if element.floating:
            row[:] = exact(read_centroids(reader, size, thing, signed_zero=True), element, thing)
        else:
            row[:] = _read_integers(reader, size, element, thing)
    return Codebook(rows, bits)


def exact(array: NDArray[np.float32], element: Element, thing: str) -> NDArray[Any]:
    """Numbers in their element type.

    Raises
    ------
    CorruptFileError
        One of them is none of that type.
    """
    with np.errstate(over="ignore"):
        found = array.astype(element.dtype)
        same = found.astype(np.float32).tobytes() == array.tobytes()
    if not same:
        raise CorruptFileError(f"{thing}: found a number that is no {element.name}, allowed only such")
    return found


def _write_integers(out: BitWriter, values: list[int], element: Element) -> None:
    out.write_bounded(values[0] - element.low, element.high - element.low)
    if len(values) == 1:
        return
    steps = [after - before for before, after in pairwise(values)]
    orders = range(_MAX_ORDER + 1)
    order = min(orders, key=lambda order: sum(2 * (step + (1 << order)).bit_length() - order for step in steps))
    out.write(order, 3)
    for step in steps:
        out.write_golomb(step, order)


def _read_integers(reader: BitReader, count: int, element: Element, thing: str) -> list[int]:
    values = [reader.read_bounded(element.high - element.low, thing) + element.low]
    if count > 1:
        order = reader.read(3, thing)
        for _ in range(count - 1):
            values.append(values[-1] + reader.read_golomb(order, thing))
    if values[-1] > element.high:
        raise CorruptFileError(f"{thing}: found {values[-1]}, allowed at most {element.high} in {element.name}")
    return values
