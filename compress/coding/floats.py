"""Arrays of float32 without the bits they do not use (FORMAT.md, section 6)."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter, pack, unpack
from compress.coding.model import ALPHABET
from compress.coding.streams import StreamModels
from compress.errors import CorruptFileError

__all__ = ["read_centroids", "read_floats", "write_centroids", "write_floats"]

_MANTISSA_BITS = 23
_MAX_EXPONENT = 254
"""Of binary32: 255 is infinity and NaN, which no array holds."""


def _fields(array: NDArray[np.float32]) -> tuple[NDArray[np.uint32], NDArray[np.uint8], int]:
    """The raw bits, the exponents, and how many leading bits of the mantissas hold all of them."""
    raw = array.view(np.uint32)
    used = int(np.bitwise_or.reduce(raw)) & ((1 << _MANTISSA_BITS) - 1)
    width = _MANTISSA_BITS - ((used & -used).bit_length() - 1 if used else _MANTISSA_BITS)
    return raw, (raw >> np.uint32(_MANTISSA_BITS)).astype(np.uint8), width


def write_floats(out: BitWriter, array: NDArray[np.float32], models: StreamModels) -> None:
    """Append finite float32 [n]: exponents through an entropy coder, signs and the used mantissa bits as they are."""
    if array.size == 0:
        return
    raw, exponents, width = _fields(array)
    same = bool((raw == raw[0]).all())
    out.write(width, 5)
    out.write(int(same), 1)
    rest = (raw >> np.uint32(31)) << np.uint32(width)
    rest |= (raw & np.uint32((1 << _MANTISSA_BITS) - 1)) >> np.uint32(_MANTISSA_BITS - width)
    if same:
        out.write(int(exponents[0]), 8)
        out.write(int(rest[0]), 1 + width)
        return
    choice = models.choose({0: np.bincount(exponents, minlength=ALPHABET)})
    models.write(out, choice)
    choice.model.encode(out, exponents)
    out.write_packed(*pack(rest, 1 + width))


def read_floats(reader: BitReader, count: int, models: StreamModels, thing: str) -> NDArray[np.float32]:
    """Read what `write_floats` wrote: float32 [count]. The caller has checked that it may be allocated.

    Raises
    ------
    CorruptFileError
    """
    if count == 0:
        return np.zeros(0, dtype=np.float32)
    width = _read_width(reader, thing)
    if reader.read(1, thing):
        exponents = np.full(count, reader.read(8, thing), dtype=np.uint8)
        rest = np.full(count, reader.read(1 + width, thing), dtype=np.uint32)
    else:
        exponents, _ = models.read(reader, thing).model.decode(reader, count, thing)
        rest = unpack(reader, count, 1 + width, thing)
    if int(exponents.max()) > _MAX_EXPONENT:
        raise CorruptFileError(f"{thing}: found NaN or infinity, allowed finite values")
    raw = rest >> np.uint32(width) << np.uint32(31)
    raw |= exponents.astype(np.uint32) << np.uint32(_MANTISSA_BITS)
    raw |= (rest & np.uint32((1 << width) - 1)) << np.uint32(_MANTISSA_BITS - width)
    return raw.view(np.float32)


def _read_width(reader: BitReader, thing: str) -> int:
    width = reader.read(5, thing)
    if width > _MANTISSA_BITS:
        raise CorruptFileError(f"{thing}: found a mantissa of {width} bits, allowed 0 to {_MANTISSA_BITS}")
    return width


def write_centroids(out: BitWriter, centroids: NDArray[np.float32], *, signed_zero: bool = False) -> None:
    """Append ascending finite float32 [k], k >= 1, as steps between neighbours.

    Parameters
    ----------
    out : BitWriter
    centroids : float32 [k]
        -0.0 before 0.0.
    signed_zero : bool
        Number them so that -0.0 has a place of its own (FORMAT.md, section 11.4); without, it must not occur.
    """
    raw, _, width = _fields(centroids)
    magnitude = ((raw & np.uint32(0x7FFFFFFF)) >> np.uint32(_MANTISSA_BITS - width)).astype(np.int64)
    negative = int(raw[0] >> np.uint32(31))
    ordinals = np.where(raw >> np.uint32(31), -magnitude - signed_zero, magnitude).tolist()
    out.write(width, 5)
    out.write(negative, 1)
    out.write(int(magnitude[0]), 8 + width)
    if len(ordinals) == 1:
        return
    steps = [after - before for before, after in pairwise(ordinals)]
    # Every order that five bits hold is tried.
    order = min(range(32), key=lambda order: sum(2 * (step + (1 << order)).bit_length() - order for step in steps))
    out.write(order, 5)
    for step in steps:
        out.write_golomb(step, order)


def read_centroids(reader: BitReader, count: int, thing: str, *, signed_zero: bool = False) -> NDArray[np.float32]:
    """Read what `write_centroids` wrote: float32 [count], count >= 1.

    Raises
    ------
    CorruptFileError
    """
    width = _read_width(reader, thing)
    negative = reader.read(1, thing)
    first = reader.read(8 + width, thing)
    if negative and first == 0 and not signed_zero:
        raise CorruptFileError(f"{thing}: found -0.0, allowed 0.0")
    ordinals = [-first - signed_zero if negative else first]
    if count > 1:
        order = reader.read(5, thing)
        for _ in range(count - 1):
            ordinals.append(ordinals[-1] + reader.read_golomb(order, thing))
    if max(-ordinals[0] - signed_zero, ordinals[-1]) >= (_MAX_EXPONENT + 1) << width:
        raise CorruptFileError(f"{thing}: found NaN or infinity, allowed finite values")
    signed = np.array(ordinals, dtype=np.int64)
    below = signed < 0
    magnitude = np.where(below, -signed - signed_zero, signed)
    raw = magnitude << (_MANTISSA_BITS - width) | below.astype(np.int64) << 31
    return raw.astype(np.uint32).view(np.float32)
