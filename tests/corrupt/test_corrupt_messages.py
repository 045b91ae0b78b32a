"""Every rule of the format that a file can break has a message of its own."""

import zlib
from collections.abc import Callable

import pytest
from hostile_bytes import SMALL, coded_header, constant_model, frame, skeleton, written

from compress.coding.bits import BitWriter
from compress.coding.blobs import write_blob
from compress.errors import CorruptFileError
from compress.graph import graph_of_zoo
from compress.packed.container import loads


def _prefixed(write: Callable[[BitWriter], None], shape: tuple[int, ...] = (4, 5)) -> bytes:
    return written(skeleton(w=shape), write)


def _fields(*fields: tuple[int, int] | Callable[[BitWriter], None]) -> Callable[[BitWriter], None]:
    def write(out: BitWriter) -> None:
        for field in fields:
            if callable(field):
                field(out)
            else:
                out.write(*field)

    return write


def _header(nnz: int) -> Callable[[BitWriter], None]:
    return lambda out: coded_header(out, nnz, 20)


def _model(symbol: int, gap_bits: int | None = None) -> Callable[[BitWriter], None]:
    return lambda out: constant_model(out, symbol, gap_bits)


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


NATURAL = (0, 1), (0, 1)
"""The fields that say: its own order of axes, one group."""

GRID_OF_TWO = (1, 1), (0, 3), (1, 1), (2, 5), (0b10000, 5), (0, 5), (1, 1)
"""A grid of two codes for two survivors, up to the exponent of its scale."""


@pytest.mark.parametrize(
    ("element", "write", "message"),
    [
        ("float32", _fields((1, 1), (1, 1), (0, 1), *FULL), "w, axes: found their own order told, allowed another one"),
        ("float32", _fields((1, 1), (0, 1), (1, 1), (31, 5), *FULL), "w, groups: found 31, allowed 0 to 18"),
        ("int8", _fields((1, 1), *NATURAL, (1, 1), *FULL), "w: found a grid of int8, allowed a codebook"),
        (
            "float16",
            _fields((1, 1), *NATURAL, (0, 1), (0, 3), (0b010, 3), (2, 5), (23, 5), (0, 1), (1, 31), *FULL),
            "w, codebook: found a number that is no float16, allowed only such",
        ),
        (
            "float32",
            _fields((1, 1), *NATURAL, (1, 1), (0, 3), (0b00100, 5), *FULL),
            "w, codebook: found 3 codes unused, allowed at most 2",
        ),
        (
            "float32",
            _fields((1, 1), *NATURAL, (1, 1), (0, 3), (1, 1), (2, 5), (0, 13), (131087, 18), *FULL),
            r"w, codebook, first: found \d+, allowed below 131071",
        ),
        (
            "float32",
            _fields((1, 1), *NATURAL, *GRID_OF_TWO, (0, 8), (0, 1), *FULL),
            "w, codebook: found a grid without steps, allowed positive scales and 1 code or more",
        ),
        (
            "bfloat16",
            _fields(
                (1, 1), *NATURAL, (1, 1), (6, 3), (1, 1), (2, 5), (0b10000, 5), (0, 5), (1, 1), (254, 8), (0, 1), *FULL
            ),
            "w, codebook: found a grid beyond the range of bfloat16, allowed finite values",
        ),
        (
            "int4",
            _fields((1, 1), *NATURAL, (0, 1), (0, 3), (1, 1), (2, 5), (15, 4), (0, 3), (0b010, 3), *FULL),
            "w, codebook: found 8, allowed at most 7 in int4",
        ),
        ("uint4", _fields((0, 1), _model(16), *FULL), "w: found 16, allowed 4 bits"),
    ],
)
def test_each_rule_of_version_2_has_its_message(element: str, write: Callable[[BitWriter], None], message: str) -> None:
    with pytest.raises(CorruptFileError, match=f"^{message}$"):
        loads(written(skeleton(element, w=(4, 5)), write, version=2))


def test_a_named_network_that_is_another_one_now_is_refused() -> None:
    out = BitWriter()
    out.write(1, 1)
    write_blob(out, b"lenet-5")
    out.write(0, 32)
    with pytest.raises(CorruptFileError) as caught:
        loads(frame(out.to_bytes(), 2))
    found = zlib.crc32(graph_of_zoo("lenet-5").skeleton)
    assert str(caught.value) == (
        f"graph, checksum: found {found:08x} of the layers of lenet-5, allowed 00000000 as declared"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: b"", "file: found  at its start, allowed 44435a"),
        (lambda d: b"PK\x03" + d[3:], "file: found 504b03 at its start, allowed 44435a"),
        (lambda d: d[:3], "version: found nothing, allowed 01 or 02"),
        (lambda d: d[:3] + b"\x03" + d[4:], "version: found 03, allowed 01 or 02"),
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
    return frame(out.to_bytes())


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
