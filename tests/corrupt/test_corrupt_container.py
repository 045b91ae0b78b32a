"""No damaged, truncated or hostile file loads as something else, crashes, or takes much memory."""

import lzma
import re
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from compress.coding.bits import BitReader, BitWriter
from compress.coding.blobs import write_blob
from compress.coding.dictionary import DICTIONARY
from compress.container import account, dumps, loads
from compress.errors import CorruptFileError
from compress.graph import Graph
from compress.representation import Codebook, CompressedModel, CompressedTensor, DenseTensor, matrix_shape
from compress.sparse import csr_of_mask
from compress.tensor_coding import TensorReader

MUCH_MEMORY = 64 << 20


def _skeleton(**shapes: tuple[int, ...]) -> bytes:
    hollow = [TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT) for name, shape in shapes.items()]
    content: bytes = helper.make_model(helper.make_graph([], "g", [], [], hollow)).SerializeToString(deterministic=True)
    return content


def _small() -> CompressedModel:
    """Every part of the format but lanes, in little room: each coder, shared models, both sides of a mask, floats."""
    index = np.arange(240)
    mask = index * 37 % 101 < 30
    skewed = np.minimum(index[: int(mask.sum())] * 29 % 61 // 12, 4)

    def coded(name: str, mask: np.ndarray, codes: np.ndarray, count: int, bits: int) -> CompressedTensor:
        csr = csr_of_mask(mask.reshape(matrix_shape(mask.shape)), codes)
        return CompressedTensor(name, mask.shape, csr, Codebook(np.linspace(-1, 1, count, dtype=np.float32), bits))

    tensors = (
        coded("a", mask.reshape(12, 5, 4), skewed, 5, 3),
        coded("b", ~mask.reshape(60, 4), np.zeros(240 - int(mask.sum())), 1, 5),
        DenseTensor("c", (index[:20] ** 2 / 64).astype(np.float32)),
        coded("d", mask.reshape(60, 4), skewed, 5, 3),
        DenseTensor("e", np.full(9, 0.1, dtype=np.float32)),
    )
    graph = Graph(None, _skeleton(**{tensor.name: tensor.shape for tensor in tensors}))
    return CompressedModel(graph, tensors, {"recipe": "seed=0"})


SMALL = dumps(_small())


def _frame(content: bytes) -> bytes:
    """A file with a right length and checksum around any body (FORMAT.md, section 1)."""
    rest = 4 + len(content) + 4
    size = next(size for size in range(1, 10) if rest + size < 1 << 7 * size)
    length = rest + size
    groups = [(length >> 7 * place & 127) | (128 if place < size - 1 else 0) for place in range(size)]
    framed = b"DCZ\x01" + bytes(groups) + content
    return framed + zlib.crc32(framed).to_bytes(4, "big")


def _body(data: bytes) -> bytes:
    return data[6:-4]


@contextmanager
def _little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MUCH_MEMORY
    finally:
        tracemalloc.stop()


def _loads_or_refuses(data: bytes) -> None:
    refusal = ""
    try:
        model = loads(data)
    except CorruptFileError as error:
        refusal = str(error)
    if refusal:
        assert re.fullmatch(r".*found .*allowed .*", refusal)
        return
    again = loads(dumps(model))
    assert again.graph == model.graph
    for ours, theirs in zip(again.tensors, model.tensors, strict=True):
        assert ours.dense().tobytes() == theirs.dense().tobytes()


def test_the_frame_of_these_tests_is_the_formats() -> None:
    assert _frame(_body(SMALL)) == SMALL


def test_every_flipped_bit_is_refused() -> None:
    for bit in range(8 * len(SMALL)):
        damaged = bytearray(SMALL)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptFileError):
            loads(bytes(damaged))


def test_every_truncation_is_refused() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(CorruptFileError):
            loads(SMALL[:length])


def test_every_truncation_of_the_body_is_refused() -> None:
    body = _body(SMALL)
    for length in range(len(body)):
        with pytest.raises(CorruptFileError):
            loads(_frame(body[:length]))


@given(st.binary(min_size=1, max_size=20))
@example(b"\x00")
def test_what_follows_is_refused(more: bytes) -> None:
    with pytest.raises(CorruptFileError, match=r"^length: found a file of \d+ bytes, allowed \d+ as it declares$"):
        loads(SMALL + more)
    with pytest.raises(CorruptFileError):
        loads(_frame(_body(SMALL) + more))


@given(st.binary(max_size=60))
def test_no_random_bytes_load(data: bytes) -> None:
    with pytest.raises(CorruptFileError):
        loads(data)
    with pytest.raises(CorruptFileError):
        account(data)


patches = st.lists(st.tuples(st.integers(0, len(_body(SMALL)) - 1), st.integers(0, 255)), min_size=1, max_size=4)


@given(patches)
@settings(max_examples=400, deadline=None)
def test_a_patched_body_with_a_right_checksum_is_a_model_or_is_refused(patches: list[tuple[int, int]]) -> None:
    body = bytearray(_body(SMALL))
    for place, value in patches:
        body[place] = value
    with _little_memory():
        _loads_or_refuses(_frame(bytes(body)))


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_body_behind_a_graph_is_a_model_or_is_refused(tail: bytes) -> None:
    out = BitWriter()
    out.write(0, 1)
    write_blob(out, _skeleton(w=(40, 30), b=(40,), v=(1000, 1000)))
    write_blob(out, b"")
    content = out.to_bytes()
    joined = int.from_bytes(content, "big") >> (-out.bit_count % 8) << 8 * len(tail) | int.from_bytes(tail, "big")
    bits = out.bit_count + 8 * len(tail)
    with _little_memory():
        _loads_or_refuses(_frame((joined << (-bits % 8)).to_bytes((bits + 7) // 8, "big")))


def _written(skeleton: bytes, write: Callable[[BitWriter], None]) -> bytes:
    out = BitWriter()
    out.write(0, 1)
    write_blob(out, skeleton)
    write_blob(out, b"")
    write(out)
    return _frame(out.to_bytes())


def _coded_header(out: BitWriter, nnz: int, size: int) -> None:
    """A coded tensor of one centroid, 1.0, at one bit."""
    out.write(1, 1)
    out.write(0, 3)
    out.write_golomb(1, 0)
    out.write_bounded(nnz, size)
    out.write(0, 5)
    out.write(0, 1)
    out.write(127, 8)


def _constant_model(out: BitWriter, symbol: int, gap_bits: int | None = None) -> None:
    out.write_golomb(0, 0)
    if gap_bits is not None:
        out.write(gap_bits - 1, 3)
    out.write_golomb(2, 0)
    out.write(symbol, 8)


def _bomb_of_survivors(out: BitWriter) -> None:
    size = 30_000 * 30_000
    _coded_header(out, size, size)
    _constant_model(out, 0)
    out.write_golomb(0, 0)


def _bomb_of_escapes(out: BitWriter) -> None:
    size = 30_000 * 30_000
    _coded_header(out, 1, size)
    _constant_model(out, 0)
    _constant_model(out, 1, gap_bits=1)
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
    data = _written(_skeleton(w=shape), write)
    with _little_memory(), pytest.raises(CorruptFileError, match=f"^{message}$"):
        loads(data)


def test_many_small_parameters_are_cells_too() -> None:
    reader = TensorReader(BitReader(bytes(8)), cells=40)
    reader.read("a", (0,))
    reader.read("b", (0,))
    with pytest.raises(
        CorruptFileError, match=r"^c: found 16 values declared, allowed the 8 left in a file of its size$"
    ):
        reader.read("c", (0,))


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
    data = _frame(out.to_bytes())
    with _little_memory(), pytest.raises(CorruptFileError, match=f"^{message}$"):
        loads(data)


def _prefixed(write: Callable[[BitWriter], None], shape: tuple[int, ...] = (4, 5)) -> bytes:
    return _written(_skeleton(w=shape), write)


def _fields(*fields: tuple[int, int] | Callable[[BitWriter], None]) -> Callable[[BitWriter], None]:
    def write(out: BitWriter) -> None:
        for field in fields:
            if callable(field):
                field(out)
            else:
                out.write(*field)

    return write


def _header(nnz: int) -> Callable[[BitWriter], None]:
    return lambda out: _coded_header(out, nnz, 20)


def _model(symbol: int, gap_bits: int | None = None) -> Callable[[BitWriter], None]:
    return lambda out: _constant_model(out, symbol, gap_bits)


FULL = (1, 1), (0, 32)
"""The field that says: no padding; and bits to read on."""


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_fields((1, 1), (0, 3), (0b00100, 5)), "w, codebook: found 3 codes unused, allowed at most 2"),
        (_fields((1, 1), (0, 3), (1, 1), (21, 5)), "w, nnz: found 21, allowed 0 to 20"),
        (
            _fields((1, 1), (0, 3), (1, 1), (2, 5), (24, 5), *FULL),
            "w, codebook: found a mantissa of 24 bits, allowed 0 to 23",
        ),
        (
            _fields((1, 1), (0, 3), (1, 1), (2, 5), (0, 5), (1, 1), (0, 8), *FULL),
            "w, codebook: found -0.0, allowed 0.0",
        ),
        (
            _fields((1, 1), (0, 3), (1, 1), (2, 5), (0, 5), (1, 1), (255, 8), (0, 5), (1, 1), *FULL),
            "w, codebook: found NaN or infinity, allowed finite values",
        ),
        (
            _fields((1, 1), (0, 3), (1, 1), (2, 5), (0, 5), (0, 1), (254, 8), (0, 5), (0b010, 3), *FULL),
            "w, codebook: found NaN or infinity, allowed finite values",
        ),
        (_fields(_header(2), (0b010, 3), *FULL), "w, codes, model: found the 1th last, allowed up to 0"),
        (_fields(_header(2), (0b1, 1), (0b00100, 5), *FULL), "w, codes, coder: found 3, allowed 0 to 2"),
        (_fields(_header(2), _model(1), *FULL), "w, codes: found code 1, allowed below 1"),
        (
            _fields(_header(2), (0b11, 2), (0b11111, 5), (0b1111, 4), *FULL),
            "w, codes, table: found two runs of absent symbols, allowed one after another only once",
        ),
        (
            _fields(_header(2), (0b11, 2), (0b1110, 4), (0b0111, 4), *FULL),
            "w, codes, table: found a codeword of 0 bits, allowed 1 to 15",
        ),
        (
            _fields(_header(2), (0b11, 2), (0b1110, 4), (0b0101, 4), (0b0, 1), (0b10, 2), *FULL),
            "w, codes: found code 1, allowed below 1",
        ),
        (
            _fields(_header(2), (0b11, 2), (0b1110, 4), (0b11, 2), (0b110, 3), (0b0, 1), *FULL),
            "w, codes, table: found more codewords than fit, allowed a complete prefix code",
        ),
        (
            _fields(_header(2), (0b11, 2), (0b1111, 4), (0, 8), (0b1_0000_0000, 9), (0, 4), *FULL),
            "w, codes, table: found a codeword for symbol 256, allowed 0 to 255",
        ),
        (_fields(_header(2), _model(0), _model(4, 2), (0, 3), *FULL), "w, gaps: found gap 4, allowed 0 to 3"),
        (
            _fields(_header(2), _model(0), _model(3, 2), (0, 3), *FULL),
            "w, gaps: found 2 escapes, allowed 0 as declared",
        ),
        (
            _fields(_header(2), _model(0), _model(2, 2), (1, 3), *FULL),
            "w, gaps: found 0 escapes, allowed 1 as declared",
        ),
        (
            _fields(_header(2), _model(0), (1, 1), (1, 3), (0b010, 3), (1, 3), (1, 3), (0b000011, 6), *FULL),
            "w, gaps: found an escape at the end, allowed a gap",
        ),
        (_fields(_header(2), _model(0), _model(10, 4), (0, 1), *FULL), "w, gaps: found position 21, allowed below 20"),
        (_fields(_header(2), _model(0), _model(0, 2), (7, 3), *FULL), "w, gaps, escapes: found 7, allowed 0 to 6"),
        (_fields((0, 1), (24, 5), *FULL), "w: found a mantissa of 24 bits, allowed 0 to 23"),
        (_fields((0, 1), (0, 5), (1, 1), (255, 8), (0, 1), *FULL), "w: found NaN or infinity, allowed finite values"),
        (
            _fields((0, 1), (0, 5), (0, 1), _model(255), (0, 20), *FULL),
            "w: found NaN or infinity, allowed finite values",
        ),
        (
            _fields((0, 1), (0, 5), (1, 1), (0, 9), (0b010, 3)),
            r"padding: found 8 bits declared, allowed the \d that remain",
        ),
        (
            _fields((0, 1), (0, 5), (1, 1), (0, 9), (0b1, 1), (1, 16)),
            r"body: found \d+ bits left over, allowed at most 7",
        ),
        (
            _fields((0, 1), (0, 5), (1, 1), (0, 9), (0b010, 3), (1, 8)),
            "padding: found a bit that is set, allowed zeros only",
        ),
    ],
)
def test_each_rule_has_its_message(write: Callable[[BitWriter], None], message: str) -> None:
    with pytest.raises(CorruptFileError, match=f"^{message}$"):
        loads(_prefixed(write))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: b"", "file: found  at its start, allowed 44435a"),
        (lambda d: b"PK\x03" + d[3:], "file: found 504b03 at its start, allowed 44435a"),
        (lambda d: d[:3], "version: found nothing, allowed 01"),
        (lambda d: d[:3] + b"\x02" + d[4:], "version: found 02, allowed 01"),
        (lambda d: d[:4], "length: found nothing, allowed 1 to 9 bytes, the last below 80, not 00"),
        (
            lambda d: d[:4] + b"\x80" * 20,
            "length: found 808080808080808080, allowed 1 to 9 bytes, the last below 80, not 00",
        ),
        (lambda d: d[:4] + b"\x85\x00", "length: found 8500, allowed 1 to 9 bytes, the last below 80, not 00"),
        (lambda d: d[:4] + b"\x05", "length: found 5 bytes, allowed no fewer than 9"),
        (lambda d: d[:-1], r"length: found a file of (\d+) bytes, allowed \d+ as it declares"),
        (
            lambda d: d[:-1] + bytes([d[-1] ^ 1]),
            "checksum: found [0-9a-f]{8}, allowed [0-9a-f]{8} as the file declares",
        ),
    ],
)
def test_each_break_of_the_frame_has_its_message(change: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(CorruptFileError, match=f"^{message}$"):
        loads(change(SMALL))


def _named(graph: bytes, provenance: bytes) -> bytes:
    out = BitWriter()
    out.write(1, 1)
    write_blob(out, graph)
    write_blob(out, provenance)
    return _frame(out.to_bytes())


@pytest.mark.parametrize(
    ("graph", "provenance", "message"),
    [
        (b"x" * 256, b"", "graph: found a name of 256 bytes, allowed at most 255"),
        (b"lenet-5()", b"", r"graph: .*found .*allowed .*"),
        (b"le\xffnet", b"", r"graph: .*found .*allowed .*"),
        (b"lenet-5", b"a\xffb", "provenance: found stray or unsorted entries, allowed pairs with ascending keys"),
        (b"lenet-5", b"a\xff", "provenance: found stray or unsorted entries, allowed pairs with ascending keys"),
        (
            b"lenet-5",
            b"b\xff\xffa\xff\xff",
            "provenance: found stray or unsorted entries, allowed pairs with ascending keys",
        ),
        (
            b"lenet-5",
            b"a\xff\xffa\xff\xff",
            "provenance: found stray or unsorted entries, allowed pairs with ascending keys",
        ),
        (b"lenet-5", b"\xc3\xff\xff", "provenance: found bytes that are no text, allowed UTF-8"),
    ],
)
def test_names_and_provenance_are_checked(graph: bytes, provenance: bytes, message: str) -> None:
    with pytest.raises(CorruptFileError, match=f"^{message}$"):
        loads(_named(graph, provenance))
