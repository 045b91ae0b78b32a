"""No damaged, truncated or random bytes load as something else, crash, or take much memory."""

import re

import pytest
from hostile_bytes import SMALL, body_of, frame, little_memory, skeleton
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compress.coding.bits import BitWriter
from compress.coding.blobs import write_blob
from compress.errors import CorruptFileError
from compress.packed.container import account, dumps, loads


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
    assert frame(body_of(SMALL)) == SMALL


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
    body = body_of(SMALL)
    for length in range(len(body)):
        with pytest.raises(CorruptFileError):
            loads(frame(body[:length]))


@given(st.binary(min_size=1, max_size=20))
@example(b"\x00")
def test_what_follows_is_refused(more: bytes) -> None:
    with pytest.raises(CorruptFileError, match=r"^length: found a file of \d+ bytes, allowed \d+ as it declares$"):
        loads(SMALL + more)
    with pytest.raises(CorruptFileError):
        loads(frame(body_of(SMALL) + more))


@given(st.binary(max_size=60))
def test_no_random_bytes_load(data: bytes) -> None:
    with pytest.raises(CorruptFileError):
        loads(data)
    with pytest.raises(CorruptFileError):
        account(data)


patches = st.lists(st.tuples(st.integers(0, len(body_of(SMALL)) - 1), st.integers(0, 255)), min_size=1, max_size=4)


@given(patches)
@settings(max_examples=400, deadline=None)
def test_a_patched_body_with_a_right_checksum_is_a_model_or_is_refused(patches: list[tuple[int, int]]) -> None:
    body = bytearray(body_of(SMALL))
    for place, value in patches:
        body[place] = value
    with little_memory():
        _loads_or_refuses(frame(bytes(body)))


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_body_behind_a_graph_is_a_model_or_is_refused(tail: bytes) -> None:
    out = BitWriter()
    out.write(0, 1)
    write_blob(out, skeleton(w=(40, 30), b=(40,), v=(1000, 1000)))
    write_blob(out, b"")
    content = out.to_bytes()
    joined = int.from_bytes(content, "big") >> (-out.bit_count % 8) << 8 * len(tail) | int.from_bytes(tail, "big")
    bits = out.bit_count + 8 * len(tail)
    with little_memory():
        _loads_or_refuses(frame((joined << (-bits % 8)).to_bytes((bits + 7) // 8, "big")))
