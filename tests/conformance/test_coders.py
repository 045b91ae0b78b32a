"""What every coder in CODERS must do; a new one is tested by being in the list."""

import re
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compress.coding import CODERS
from compress.coding.bits import BitReader, BitWriter
from compress.coding.model import ALPHABET
from compress.coding.streams import StreamModels
from compress.errors import CorruptFileError

symbols_of_any_kind = st.one_of(
    st.lists(st.integers(0, 255), min_size=1, max_size=300),
    st.lists(st.sampled_from([0, 0, 0, 1, 2, 31]), min_size=1, max_size=300),
    st.tuples(st.integers(0, 255), st.integers(1, 300)).map(lambda run: [run[0]] * run[1]),
).map(lambda found: np.array(found, dtype=np.uint8))


TAKEN: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "constant": lambda symbols: np.full_like(symbols, symbols[0]),
    "huffman": lambda symbols: np.append(symbols, symbols[0] ^ 1),
}
"""Coder that does not take every stream → what makes any stream one that it takes: of one symbol, of at least two."""


def _taken(name: str, symbols: np.ndarray) -> np.ndarray:
    return TAKEN.get(name, np.asarray)(symbols)


def _counts(symbols: np.ndarray) -> np.ndarray:
    return np.bincount(symbols, minlength=ALPHABET)


@pytest.mark.parametrize("name", CODERS)
@given(symbols=symbols_of_any_kind, before=st.integers(0, 9))
@example(symbols=np.zeros(1, dtype=np.uint8), before=3)
@example(symbols=np.arange(256, dtype=np.uint8), before=0)
@example(symbols=np.tile(np.arange(5, dtype=np.uint8), 14_000), before=1)
@settings(max_examples=60, deadline=None)
def test_model_and_payload_come_back(name: str, symbols: np.ndarray, before: int) -> None:
    symbols = _taken(name, symbols)
    coder, counts = CODERS[name], _counts(symbols)
    model = coder.fit(counts)
    assert model is not None
    out = BitWriter()
    out.write(0, before)
    model.write(out)
    header_bits = out.bit_count
    model.encode(out, symbols)
    reader = BitReader(out.to_bytes())
    reader.skip(before, "before")
    read = coder.read(reader, "stream")
    assert reader.position == header_bits
    found, lane_bits = read.decode(reader, symbols.size, "stream")
    assert found.dtype == np.uint8
    assert (found == symbols).all()
    assert reader.position == out.bit_count
    estimate = model.payload_bits(counts)
    assert estimate is not None
    assert read.payload_bits(counts) == estimate
    assert out.bit_count - header_bits - lane_bits == estimate


@pytest.mark.parametrize("name", CODERS)
@given(fitted=symbols_of_any_kind, others=symbols_of_any_kind)
@settings(max_examples=60, deadline=None)
def test_a_shared_model_says_what_it_cannot_code(name: str, fitted: np.ndarray, others: np.ndarray) -> None:
    fitted = _taken(name, fitted)
    model = CODERS[name].fit(_counts(fitted))
    assert model is not None
    estimate = model.payload_bits(_counts(others))
    if estimate is None:
        assert set(others.tolist()) - set(fitted.tolist())
        return
    out = BitWriter()
    model.encode(out, others)
    assert out.bit_count == estimate
    assert (model.decode(BitReader(out.to_bytes()), others.size, "stream")[0] == others).all()


@pytest.mark.parametrize("name", CODERS)
@given(content=st.binary(max_size=80), count=st.integers(1, 500))
@settings(max_examples=200, deadline=None)
def test_any_bytes_decode_or_are_refused(name: str, content: bytes, count: int) -> None:
    reader, refusal = BitReader(content), ""
    try:
        found, _ = CODERS[name].read(reader, "stream").decode(reader, count, "stream")
    except CorruptFileError as error:
        refusal = str(error)
    if refusal:
        assert re.fullmatch(r"stream.*: found .*allowed .*", refusal)
    else:
        assert found.shape == (count,)
        assert reader.position <= reader.bit_count


@pytest.mark.parametrize("name", CODERS)
@given(symbols=symbols_of_any_kind)
def test_a_coder_takes_every_stream_or_those_that_it_is_for(name: str, symbols: np.ndarray) -> None:
    one = len(set(symbols.tolist())) == 1
    assert (CODERS[name].fit(_counts(symbols)) is not None) == {"constant": one, "huffman": not one}.get(name, True)


@given(symbols=symbols_of_any_kind)
def test_some_coder_takes_every_stream(symbols: np.ndarray) -> None:
    assert any(coder.fit(_counts(symbols)) is not None for coder in CODERS.values())


@pytest.mark.parametrize("name", CODERS)
def test_every_coder_tells_what_it_is(name: str) -> None:
    assert CODERS[name].summary
    assert "\n" not in CODERS[name].summary


@given(st.lists(symbols_of_any_kind, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_streams_share_models_where_that_is_shorter(streams: list[np.ndarray]) -> None:
    writing, out, choices = StreamModels(tag_bits=3), BitWriter(), []
    for symbols in streams:
        choices.append(writing.choose({2: _counts(symbols), 5: _counts(symbols)}))
        writing.write(out, choices[-1])
        choices[-1].model.encode(out, symbols)
    alone = 0
    for symbols in streams:
        apart = BitWriter()
        first = StreamModels(tag_bits=3)
        choice = first.choose({2: _counts(symbols)})
        first.write(apart, choice)
        choice.model.encode(apart, symbols)
        alone += apart.bit_count
    assert out.bit_count <= alone
    reading, reader = StreamModels(tag_bits=3), BitReader(out.to_bytes())
    for symbols, choice in zip(streams, choices, strict=True):
        read = reading.read(reader, "stream")
        assert (read.coder, read.tag, read.back) == (choice.coder, choice.tag, choice.back)
        assert (read.model.decode(reader, symbols.size, "stream")[0] == symbols).all()
    assert reader.position == out.bit_count


def test_an_equal_stream_shares_in_three_bits() -> None:
    models, out = StreamModels(), BitWriter()
    even, skewed = np.arange(64, dtype=np.uint8), np.array([0] * 90 + [9] * 5 + [1, 2, 3], dtype=np.uint8)
    backs = []
    for symbols in (skewed, even, skewed, skewed, even):
        choice = models.choose({0: _counts(symbols)})
        before = out.bit_count
        models.write(out, choice)
        backs.append((choice.back, out.bit_count - before) if choice.back else choice.back)
    assert backs == [0, 0, (2, 3), (2, 3), (1, 3)]
