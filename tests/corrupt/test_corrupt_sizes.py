"""A size that a file declares is refused before it is allocated, and before a long byte string is unpacked."""

import lzma
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hostile_bytes import coded_header, constant_model, frame, little_memory, skeleton, written

from compress.coding.bits import BitReader, BitWriter
from compress.coding.dictionary import DICTIONARY
from compress.errors import CorruptFileError
from compress.packed.container import loads
from compress.packed.tensors import TensorReader


def _bomb_of_survivors(out: BitWriter) -> None:
    size = 30_000 * 30_000
    coded_header(out, size, size)
    constant_model(out, 0)
    out.write_golomb(0, 0)


def _bomb_of_escapes(out: BitWriter) -> None:
    size = 30_000 * 30_000
    coded_header(out, 1, size)
    constant_model(out, 0)
    constant_model(out, 1, gap_bits=1)
    out.write_bounded(size - 2, size - 1)
    out.write_golomb(0, 0)


def _all_pruned(out: BitWriter, size: int) -> None:
    out.write(1, 1)
    out.write(0, 3)
    out.write_golomb(2, 0)
    out.write_bounded(0, size)
    out.write_golomb(0, 0)


def _constant_array(out: BitWriter) -> None:
    out.write(0, 1)
    out.write(0, 5)
    out.write(1, 1)
    out.write(127, 8)
    out.write(0, 1)
    out.write_golomb(0, 0)


@pytest.mark.parametrize(
    ("shape", "write", "message"),
    [
        (
            (30_000, 30_000),
            _bomb_of_survivors,
            r"w: found 900030000 values declared, allowed the \d+ left in a file of its size",
        ),
        (
            (30_000, 30_000),
            _bomb_of_escapes,
            r"w, gaps: found 899999999 values declared, allowed the \d+ left in a file of its size",
        ),
        (
            (2**31 - 1, 1),
            lambda out: _all_pruned(out, 2**31 - 1),
            r"w: found 2147483647 values declared, allowed the \d+ left in a file of its size",
        ),
        (
            (2**31 - 1,),
            _constant_array,
            r"w: found 2147483647 values declared, allowed the \d+ left in a file of its size",
        ),
        (
            (2**62, 0),
            lambda out: _all_pruned(out, 0),
            r"w: found 4611686018427387904 values declared, allowed the \d+ left in a file of its size",
        ),
        ((2**16, 2**15), _constant_array, r"w: found the shape \(65536, 32768\), allowed 0 to 2147483647 elements"),
        ((2**31,), _constant_array, r"w: found the shape \(2147483648,\), allowed 0 to 2147483647 elements"),
        ((-1, -1), _constant_array, r"w: found the shape \(-1, -1\), allowed 0 to 2147483647 elements"),
    ],
)
def test_a_size_is_refused_before_it_is_allocated(
    shape: tuple[int, ...], write: Callable[[BitWriter], None], message: str
) -> None:
    data = written(skeleton(w=shape), write)
    with little_memory(), pytest.raises(CorruptFileError, match=f"^{message}$"):
        loads(data)


def test_many_small_parameters_are_cells_too() -> None:
    reader = TensorReader(BitReader(bytes(8)), cells=40, version=1)
    reader.read("a", (0,), "float32")
    reader.read("b", (0,), "float32")
    with pytest.raises(
        CorruptFileError, match=r"^c: found 16 values declared, allowed the 8 left in a file of its size$"
    ):
        reader.read("c", (0,), "float32")


def _blob(out: BitWriter, method: int, size: int, packed: bytes) -> None:
    out.write_golomb(method, 0)
    out.write_golomb(size, 6)
    if method:
        out.write_golomb(len(packed), 6)
    out.write_packed(np.frombuffer(packed, dtype=np.uint8), 8 * len(packed))


def _deflated(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return deflater.compress(content) + deflater.flush()


def _lzma(content: bytes) -> bytes:
    return lzma.compress(content, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])


@pytest.mark.parametrize(
    ("method", "size", "packed", "message"),
    [
        (
            1,
            1 << 28,
            _deflated(bytes(1 << 28)),
            r"graph, size: found 268435456 bytes, allowed 16777216 for \d+ packed ones",
        ),
        (2, 1 << 28, _lzma(bytes(1 << 28)), r"graph, size: found 268435456 bytes, allowed \d+ for \d+ packed ones"),
        (1, 100, _deflated(bytes(1 << 28)), "graph: found damaged deflate data, allowed exactly 100 bytes"),
        (2, 100, _lzma(bytes(1 << 28)), "graph: found damaged LZMA data, allowed exactly 100 bytes"),
        (1, 100, _deflated(b"short"), "graph: found damaged deflate data, allowed exactly 100 bytes"),
        (1, 5, _deflated(b"short") + b"more", "graph: found damaged deflate data, allowed exactly 5 bytes"),
        (2, 5, _lzma(b"short") + b"more", "graph: found damaged LZMA data, allowed exactly 5 bytes"),
        (2, 5, b"\xff\xff\xff", "graph: found damaged LZMA data, allowed exactly 5 bytes"),
        (1, 5, b"\xff\xff\xff", "graph: found damaged deflate data, allowed exactly 5 bytes"),
        (3, 5, b"", "graph, method: found 3, allowed 0 to 2"),
        (0, 1 << 40, b"", r"graph: found 8796093022208 bits declared, allowed the \d that remain"),
        (0, 3, b"abc", "graph: found bytes that are no ONNX model, allowed a serialised ModelProto"),
    ],
)
def test_byte_strings_are_bounded(method: int, size: int, packed: bytes, message: str) -> None:
    out = BitWriter()
    out.write(0, 1)
    _blob(out, method, size, packed)
    data = frame(out.to_bytes())
    with little_memory(), pytest.raises(CorruptFileError, match=f"^{message}$"):
        loads(data)
