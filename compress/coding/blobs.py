"""Byte strings inside a packed file, deflated or LZMA-packed where that is shorter (FORMAT.md, section 3)."""

import lzma
import zlib
from typing import Any

import numpy as np

from compress.coding.bits import BitReader, BitWriter
from compress.coding.dictionary import DICTIONARY
from compress.errors import CorruptFileError

__all__ = ["MAX_EXPANSION", "MAX_UNPACKED_BYTES", "read_blob", "write_blob"]

MAX_UNPACKED_BYTES = 1 << 24
"""Longest byte string that may be packed; a longer one stands as it is."""

MAX_EXPANSION = 256
"""Most bytes that one packed byte may stand for."""

_LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 20}]
_RAW, _DEFLATE, _LZMA = range(3)
_METHODS = ("raw", "deflate", "LZMA")


def write_blob(out: BitWriter, content: bytes) -> None:
    """Append a byte string by the method that takes the fewest bytes."""
    packings = {_RAW: content}
    if len(content) <= MAX_UNPACKED_BYTES:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
        packings[_DEFLATE] = deflater.compress(content) + deflater.flush()
        packings[_LZMA] = lzma.compress(content, lzma.FORMAT_RAW, filters=_LZMA_FILTERS)
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
    if method >= len(_METHODS):
        raise CorruptFileError(f"{thing}, method: found {method}, allowed 0 to {len(_METHODS) - 1}")
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
    content = _unpack(method, packed, size)
    if content is None or len(content) != size:
        raise CorruptFileError(f"{thing}: found damaged {_METHODS[method]} data, allowed exactly {size} bytes")
    return content


def _unpack(method: int, packed: bytes, size: int) -> bytes | None:
    unpacker: Any = (
        zlib.decompressobj(-15, DICTIONARY)
        if method == _DEFLATE
        else lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA_FILTERS)
    )
    try:
        content: bytes = unpacker.decompress(packed, size + 1)
    except (zlib.error, lzma.LZMAError):
        return None
    return content if unpacker.eof and not unpacker.unused_data else None
