"""Laws of strings of bits (FORMAT.md, section 2): what is written is read, whatever surrounds it."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.coding.bits import MAX_PACKED_WIDTH, BitReader, BitWriter, pack, unpack, windows
from compress.errors import CorruptFileError

plain = st.integers(0, 70).flatmap(lambda width: st.tuples(st.just("u"), st.integers(0, 2**width - 1), st.just(width)))
bounded = st.integers(0, 2**40).flatmap(lambda top: st.tuples(st.just("b"), st.integers(0, top), st.just(top)))
golomb = st.tuples(st.just("g"), st.integers(0, 2**32), st.integers(0, 31))
packed = st.tuples(st.just("p"), st.lists(st.integers(0, 2**11 - 1), max_size=20), st.integers(11, MAX_PACKED_WIDTH))


@given(st.lists(plain | bounded | golomb | packed))
def test_every_mix_of_fields_comes_back(fields: list[tuple]) -> None:
    out = BitWriter()
    for kind, value, argument in fields:
        match kind:
            case "u":
                out.write(value, argument)
            case "b":
                out.write_bounded(value, argument)
            case "g":
                out.write_golomb(value, argument)
            case "p":
                out.write_packed(*pack(np.array(value, dtype=np.uint32), argument))
    content = out.to_bytes()
    assert len(content) == (out.bit_count + 7) // 8
    reader = BitReader(content)
    for kind, value, argument in fields:
        match kind:
            case "u":
                assert reader.read(argument, "field") == value
            case "b":
                assert reader.read_bounded(argument, "field") == value
            case "g":
                assert reader.read_golomb(argument, "field") == value
            case "p":
                assert unpack(reader, len(value), argument, "field").tolist() == value
    assert reader.position == out.bit_count
    assert reader.read(reader.remaining, "rest") == 0


@given(st.lists(st.integers(1, MAX_PACKED_WIDTH).flatmap(lambda w: st.tuples(st.integers(0, 2**w - 1), st.just(w)))))
def test_packing_concatenates(fields: list[tuple[int, int]]) -> None:
    values, widths = np.array(fields, dtype=np.int64).reshape(-1, 2).T
    content, bits = pack(values, widths)
    text = "".join(f"{value:0{width}b}" for value, width in fields)
    assert bits == len(text)
    assert "".join(f"{byte:08b}" for byte in content) == text.ljust(content.size * 8, "0")


@pytest.mark.parametrize("count", [65_535, 65_536, 65_537, 200_001])
def test_packing_joins_its_chunks(count: int) -> None:
    values = np.arange(count) * 2_654_435_761 % 2**13
    out = BitWriter()
    out.write(1, 3)
    out.write_packed(*pack(values, 13))
    reader = BitReader(out.to_bytes())
    reader.skip(3, "start")
    assert (unpack(reader, count, 13, "values") == values).all()
    assert reader.position == out.bit_count


def test_numbers_worked_by_hand() -> None:
    table = {(0, 0): "1", (1, 0): "010", (2, 0): "011", (3, 0): "00100", (4, 0): "00101"}
    table |= {(0, 1): "10", (1, 1): "11", (2, 1): "0100", (3, 1): "0101", (4, 1): "0110"}
    for (value, order), expected in table.items():
        out = BitWriter()
        out.write_golomb(value, order)
        assert f"{int.from_bytes(out.to_bytes(), 'big'):08b}"[: out.bit_count] == expected
    out = BitWriter()
    for maximum in (0, 1, 2, 3, 4, 7, 8):
        out.write_bounded(maximum, maximum)
    assert out.bit_count == 0 + 1 + 2 + 2 + 3 + 3 + 4


def test_windows_are_four_bytes_and_zeros_beyond() -> None:
    assert [f"{window:08x}" for window in windows(np.array([1, 2, 3, 4, 5], dtype=np.uint8))] == [
        "01020304", "02030405", "03040500", "04050000", "05000000", "00000000",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda r: r.read(17, "field"), "field: found 17 bits declared, allowed the 16 that remain"),
        (lambda r: r.skip(17, "field"), "field: found 17 bits declared, allowed the 16 that remain"),
        (lambda r: unpack(r, 6, 3, "field"), "field: found 18 bits declared, allowed the 16 that remain"),
        (lambda r: r.read_bounded(4, "field"), "field: found 7, allowed 0 to 4"),
        (
            lambda r: (r.skip(16, "x"), r.read_golomb(0, "field")),
            "field: found 0 zero bits in a row, allowed a one after at most 40",
        ),
        (
            lambda r: (r.skip(10, "x"), r.read_golomb(0, "field")),
            "field: found 6 zero bits in a row, allowed a one after at most 40",
        ),
        (
            lambda r: (r.skip(8, "x"), r.read_golomb(9, "field")),
            "field: found 12 bits declared, allowed the 8 that remain",
        ),
    ],
)
def test_what_is_not_there_is_refused(read, message: str) -> None:
    with pytest.raises(CorruptFileError, match=f"^{re.escape(message)}$"):
        read(BitReader(bytes([0b11100000, 0b01000000])))
