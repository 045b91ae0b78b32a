"""Laws of Huffman coding: optimal lengths under every limit, canonical codewords, and streams of every size."""

import re
from itertools import pairwise

import numpy as np
import pytest
from dahuffman import HuffmanCodec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compress.coding.bits import BitReader, BitWriter
from compress.coding.huffman_codes import (
    LANE_SYMBOLS,
    LANES_FROM,
    MAX_LENGTH,
    code_lengths,
    codewords,
    read_symbols,
    write_symbols,
)
from compress.errors import CorruptFileError

counts_of_symbols = st.lists(st.integers(0, 5) | st.integers(0, 10**6), min_size=1, max_size=256).map(np.array)
fibonacci = np.array([1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765])


def _cost(counts: np.ndarray, lengths: np.ndarray) -> int:
    return int(counts @ lengths.astype(np.int64))


@given(counts_of_symbols.filter(lambda counts: np.count_nonzero(counts) > 0))
@example(np.array([1, 1]))
@example(fibonacci[:13])
def test_lengths_are_as_good_as_dahuffmans_where_the_limit_does_not_bind(counts: np.ndarray) -> None:
    table = HuffmanCodec.from_frequencies({symbol: int(n) for symbol, n in enumerate(counts) if n}).get_code_table()
    theirs = sum(bits * (int(counts[symbol]) if isinstance(symbol, int) else 1) for symbol, (bits, _) in table.items())
    # dahuffman codes a mark for the end as well, which occurs once.
    ours = np.append(counts, 1)
    if max(bits for bits, _ in table.values()) <= MAX_LENGTH:
        assert _cost(ours, code_lengths(ours)) == theirs


@given(counts_of_symbols, st.integers(1, MAX_LENGTH))
def test_every_limit_holds_and_the_code_is_complete(counts: np.ndarray, limit: int) -> None:
    used = np.count_nonzero(counts)
    if used > 2**limit:
        message = f"limit: found {limit} for {used} symbols, allowed up to 15 and enough for all"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            code_lengths(counts, limit)
        return
    lengths = code_lengths(counts, limit)
    assert ((lengths > 0) == (counts > 0)).all()
    assert lengths.max(initial=0) <= limit
    if used > 1:
        assert sum(2 ** (MAX_LENGTH - int(length)) for length in lengths if length) == 2**MAX_LENGTH
    else:
        assert lengths.sum() == used


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(1, 6))
@settings(max_examples=60)
def test_no_complete_code_under_the_limit_is_cheaper(counts: list[int], limit: int) -> None:
    """Against all multisets of lengths there are, the longest given to the most seldom symbols."""
    if len(counts) > 2**limit:
        return

    def complete(free: int, symbols: int, longest: int) -> list[list[int]]:
        if symbols == 0:
            return [[]] if free == 0 else []
        return [
            [length, *rest]
            for length in range(1, longest + 1)
            if 2 ** (limit - length) <= free
            for rest in complete(free - 2 ** (limit - length), symbols - 1, length)
        ]

    ascending = sorted(counts)
    best = min(
        sum(n * length for n, length in zip(ascending, lengths, strict=True))
        for lengths in complete(2**limit, len(counts), limit)
    )
    assert _cost(np.array(counts), code_lengths(np.array(counts), limit)) == best


@given(counts_of_symbols)
def test_seldom_symbols_never_have_shorter_codewords(counts: np.ndarray) -> None:
    lengths = code_lengths(counts)
    used = np.flatnonzero(counts)
    ranked = sorted(used.tolist(), key=lambda symbol: (int(counts[symbol]), symbol))
    assert all(lengths[a] >= lengths[b] for a, b in pairwise(ranked))


@given(counts_of_symbols.filter(lambda counts: np.count_nonzero(counts) > 1))
def test_codewords_are_canonical_and_prefix_free(counts: np.ndarray) -> None:
    lengths = code_lengths(counts)
    words = codewords(lengths)
    order = sorted(np.flatnonzero(lengths).tolist(), key=lambda symbol: (lengths[symbol], symbol))
    texts = [f"{words[symbol]:0{lengths[symbol]}b}" for symbol in order]
    assert int(texts[0]) == 0
    assert texts == sorted(texts)
    assert not any(after.startswith(before) for before, after in pairwise(texts))
    assert (words[lengths == 0] == 0).all()


def _streams(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    size = draw(st.integers(1, 3000) | st.sampled_from([LANES_FROM - 1, LANES_FROM, LANES_FROM + 1, 70_000, 68_608]))
    alphabet = draw(st.integers(2, 256))
    skew = draw(st.sampled_from([0.2, 1.0, 4.0, 12.0]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    symbols = (generator.random(size) ** skew * alphabet).astype(np.uint8)
    symbols[: min(2, size)] = [0, alphabet - 1][: min(2, size)]
    return symbols, draw(st.integers(0, 17))


@given(st.composite(_streams)())
@settings(max_examples=60)
def test_streams_come_back_from_any_bit_on(stream: tuple[np.ndarray, int]) -> None:
    symbols, before = stream
    counts = np.bincount(symbols, minlength=256)
    counts[(int(symbols[0]) + 1) % 256] += 1
    lengths = code_lengths(counts)
    out = BitWriter()
    out.write(2**before - 1, before)
    write_symbols(out, symbols, lengths)
    out.write(5, 3)
    reader = BitReader(out.to_bytes())
    reader.skip(before, "before")
    found, lane_bits = read_symbols(reader, symbols.size, lengths, "stream")
    assert found.dtype == np.uint8
    assert (found == symbols).all()
    payload_bits = int(lengths[symbols].sum(dtype=np.int64))
    assert reader.position == before + lane_bits + payload_bits
    assert reader.read(3, "after") == 5
    if symbols.size < LANES_FROM:
        assert lane_bits == 0
    else:
        assert lane_bits <= 18 + 14 * (symbols.size // LANE_SYMBOLS)


def test_lanes_cost_little() -> None:
    generator = np.random.default_rng(0)
    symbols = np.clip(generator.laplace(16, 3, 300_000).round(), 0, 31).astype(np.uint8)
    lengths = code_lengths(np.bincount(symbols))
    out = BitWriter()
    write_symbols(out, symbols, lengths)
    _, lane_bits = read_symbols(BitReader(out.to_bytes()), symbols.size, lengths, "stream")
    assert lane_bits < 0.003 * out.bit_count


def test_fibonacci_counts_need_the_limit() -> None:
    lengths = code_lengths(fibonacci)
    assert lengths.max() == MAX_LENGTH
    assert code_lengths(fibonacci[:8]).tolist() == [7, 7, 6, 5, 4, 3, 2, 1]
    assert code_lengths(fibonacci[:8], 3).tolist() == [3] * 8


def test_equal_counts_give_the_smaller_symbols_the_longer_codewords() -> None:
    assert code_lengths(np.array([1, 1, 1])).tolist() == [2, 2, 1]


def test_none_and_one_symbol() -> None:
    assert code_lengths(np.array([], dtype=np.int64)).tolist() == []
    assert code_lengths(np.array([0, 0])).tolist() == [0, 0]
    assert code_lengths(np.array([0, 7])).tolist() == [0, 1]


def test_a_stream_that_ends_early_is_refused() -> None:
    lengths = np.array([1, 2, 2], dtype=np.uint8)
    with pytest.raises(CorruptFileError, match=r"^stream: found 9 bits declared, allowed the 8 that remain$"):
        read_symbols(BitReader(b"\x00"), 9, lengths, "stream")
    with pytest.raises(CorruptFileError, match=r"^stream: found 9 bits declared, allowed the 8 that remain$"):
        read_symbols(BitReader(b"\xff"), 5, lengths, "stream")  # the fifth is read from zeros beyond the end


def _lanes() -> tuple[bytes, np.ndarray, int]:
    symbols = (np.arange(LANES_FROM) * 7 % 5).astype(np.uint8)
    lengths = code_lengths(np.bincount(symbols))
    out = BitWriter()
    write_symbols(out, symbols, lengths)
    return out.to_bytes(), lengths, symbols.size


def test_lanes_that_do_not_meet_are_refused() -> None:
    content, lengths, size = _lanes()
    reader = BitReader(content)
    smallest = reader.read(14, "smallest")
    moved = BitWriter()
    moved.write(smallest + 1, 14)
    moved.write_packed(reader.data[2:], 0)
    moved.write(reader.read(reader.remaining, "rest"), 8 * len(content) - 14)
    message = r"^stream, lanes: found a lane that does not end where the next begins$"
    with pytest.raises(CorruptFileError, match=message):
        read_symbols(BitReader(moved.to_bytes()), size, lengths, "stream")


def test_lanes_are_checked_before_they_are_followed() -> None:
    content, lengths, size = _lanes()
    wide = bytes([content[0], content[1] | 0b11, 0xC0]) + content[3:]
    with pytest.raises(CorruptFileError, match=r"^stream, lanes: found a width of 15, allowed 0 to 14$"):
        read_symbols(BitReader(wide), size, lengths, "stream")
    with pytest.raises(
        CorruptFileError, match=r"^stream, lanes: found \d+ bits declared, allowed the \d+ that remain$"
    ):
        read_symbols(BitReader(content[:9000]), size, lengths, "stream")
