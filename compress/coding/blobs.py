"""Byte strings inside a packed file, deflated or LZMA-packed where that is shorter (FORMAT.md, section 3)."""

import lzma
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from compress.coding.bits import BitReader, BitWriter
from compress.coding.dictionary import DICTIONARY
from compress.errors import CorruptFileError

__all__ = ["MAX_EXPANSION", "MAX_UNPACKED_BYTES", "read_blob", "write_blob"]

MAX_UNPACKED_BYTES = 1 << 24
"""Longest byte string that may be packed; a longer one stands as it is. It bounds what unpacking may allocate."""

MAX_EXPANSION = 256
"""Most bytes that one packed byte may stand for, so that memory stays in proportion to the file."""

_LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 20, "lc": 3, "lp": 0, "pb": 2}]
"""The preset says how hard to search; all that a decoder must know is spelled out (FORMAT.md, section 3)."""


@dataclass(frozen=True, slots=True)
class _Packing:
    name: str
    pack: Callable[[bytes], bytes]
    unpacker: Callable[[], Any]


def _deflate(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return deflater.compress(content) + deflater.flush()


_RAW = 0
_PACKINGS: Mapping[int, _Packing] = MappingProxyType(
    {
        1: _Packing("deflate", _deflate, lambda: zlib.decompressobj(-15, DICTIONARY)),
        2: _Packing(
            "LZMA",
            lambda content: lzma.compress(content, lzma.FORMAT_RAW, filters=_LZMA_FILTERS),
            lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA_FILTERS),
        ),
    }
)
"""Number of a method in the file, for ever → how it packs; a raw string is not packed."""


def write_blob(out: BitWriter, content: bytes) -> None:
    """Append a byte string by the method that takes the fewest bytes."""
    packings = {_RAW: content}
    if len(content) <= MAX_UNPACKED_BYTES:
        packings |= {number: packing.pack(content) for number, packing in _PACKINGS.items()}
    allowed = [method for method, packed in packings.items() if len(content) <= MAX_EXPANSION * len(packed)]
    # A packed string spends another byte on its size.
    method = min(allowed, key=lambda method: len(packings[method]) + (method != _RAW))
    out.write_golomb(method, 0)
    out.write_golomb(len(content), 6)
    if method != _RAW:
        out.write_golomb(len(packings[method]), 6)
    out.write_packed(np.frombuffer(packings[method], dtype=np.uint8), 8 * len(packings[method]))


def read_blob(reader: BitReader, thing: str) -> bytes:
    """Read what `write_blob` wrote; never unpacks more bytes than are declared and allowed.

    Raises
    ------
    CorruptFileError
    """
    method = reader.read_golomb(0, f"{thing}, method")
    if method != _RAW and method not in _PACKINGS:
        raise CorruptFileError(f"{thing}, method: found {method}, allowed 0 to {max(_PACKINGS)}")
    size = reader.read_golomb(6, f"{thing}, size")
    packed_bytes = size
    if method != _RAW:
        packed_bytes = reader.read_golomb(6, f"{thing}, packed size")
        allowed = min(MAX_UNPACKED_BYTES, MAX_EXPANSION * packed_bytes)
        if size > allowed:
            raise CorruptFileError(
                f"{thing}, size: found {size} bytes, allowed {allowed} for {packed_bytes} packed ones"
            )
    reader.require(8 * packed_bytes, thing)
    packed = reader.read(8 * packed_bytes, thing).to_bytes(packed_bytes, "big")
    if method == _RAW:
        return packed
    content = _unpack(_PACKINGS[method], packed, size)
    if content is None or len(content) != size:
        raise CorruptFileError(f"{thing}: found damaged {_PACKINGS[method].name} data, allowed exactly {size} bytes")
    return content


def _unpack(packing: _Packing, packed: bytes, size: int) -> bytes | None:
    unpacker = packing.unpacker()
    try:
        content: bytes = unpacker.decompress(packed, size + 1)
    except (zlib.error, lzma.LZMAError):
        return None
    return content if unpacker.eof and not unpacker.unused_data else None
