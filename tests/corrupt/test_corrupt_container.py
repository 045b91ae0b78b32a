"""No damaged, truncated or random bytes load as something else, crash, or take much memory."""

import re

import pytest
from hostile_bytes import FILES, body_of, frame, little_memory, skeleton
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compress.coding.bits import BitWriter
from compress.coding.blobs import write_blob
from compress.elements import ELEMENTS
from compress.errors import CorruptFileError
from compress.packed.container import account, dumps, loads

VERSIONS = ("version 1", "version 2")


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
    for version, data in enumerate(FILES, 1):
        assert frame(body_of(data), version) == data


@pytest.mark.parametrize("data", FILES, ids=VERSIONS)
def test_every_flipped_bit_is_refused(data: bytes) -> None:
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptFileError):
            loads(bytes(damaged))


@pytest.mark.parametrize("data", FILES, ids=VERSIONS)
def test_every_truncation_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(CorruptFileError):
            loads(data[:length])


@pytest.mark.parametrize("version", [1, 2])
def test_every_truncation_of_the_body_is_refused(version: int) -> None:
    body = body_of(FILES[version - 1])
    for length in range(len(body)):
        with pytest.raises(CorruptFileError):
            loads(frame(body[:length], version))


@pytest.mark.parametrize("version", [1, 2])
@given(st.binary(min_size=1, max_size=20))
@example(b"\x00")
def test_what_follows_is_refused(version: int, more: bytes) -> None:
    data = FILES[version - 1]
    with pytest.raises(CorruptFileError, match=r"^length: found a file of \d+ bytes, allowed \d+ as it declares$"):
        loads(data + more)
    with pytest.raises(CorruptFileError):
        loads(frame(body_of(data) + more, version))


@given(st.binary(max_size=60))
def test_no_random_bytes_load(data: bytes) -> None:
    with pytest.raises(CorruptFileError):
        loads(data)
    with pytest.raises(CorruptFileError):
        account(data)


patches = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4)


@pytest.mark.parametrize("version", [1, 2])
@given(patches)
@settings(max_examples=400, deadline=None)
def test_a_patched_body_with_a_right_checksum_is_a_model_or_is_refused(
    version: int, patches: list[tuple[int, int]]
) -> None:
    body = bytearray(body_of(FILES[version - 1]))
    for place, value in patches:
        body[place % len(body)] = value
    with little_memory():
        _loads_or_refuses(frame(bytes(body), version))


@pytest.mark.parametrize(("version", "element"), [(1, "float32"), *((2, element) for element in ELEMENTS)])
@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_body_behind_a_graph_is_a_model_or_is_refused(version: int, element: str, tail: bytes) -> None:
    out = BitWriter()
    out.write(0, 1)
    write_blob(out, skeleton(element, w=(40, 30), b=(40,), v=(1000, 1000)))
    write_blob(out, b"")
    content = out.to_bytes()
    joined = int.from_bytes(content, "big") >> (-out.bit_count % 8) << 8 * len(tail) | int.from_bytes(tail, "big")
    bits = out.bit_count + 8 * len(tail)
    with little_memory():
        _loads_or_refuses(frame((joined << (-bits % 8)).to_bytes((bits + 7) // 8, "big"), version))
