"""Files written once stay readable, are what is written today, and mean what FORMAT.md says they mean."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from make import MODELS
from reference import decode, dictionary

from compress.coding.dictionary import DICTIONARY
from compress.packed.container import account, dumps, load, loads
from compress.representation import CodedTensor, CompressedModel

FOLDER = Path(__file__).parent


def _assert_equal(found: CompressedModel, expected: CompressedModel) -> None:
    assert found.graph == expected.graph
    assert found.provenance == expected.provenance
    for ours, theirs in zip(found.tensors, expected.tensors, strict=True):
        assert (type(ours), ours.name, ours.shape) == (type(theirs), theirs.name, theirs.shape)
        assert ours.dense().tobytes() == theirs.dense().tobytes()
        if isinstance(ours, CodedTensor) and isinstance(theirs, CodedTensor):
            assert ours.codes.tobytes() == theirs.codes.tobytes()
            assert ours.places().tobytes() == theirs.places().tobytes()
            assert ours.bits == theirs.bits
            assert ours.values().tobytes() == theirs.values().tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_a_golden_file_still_holds_its_model(name: str) -> None:
    _assert_equal(load(FOLDER / f"{name}.dcz"), MODELS[name]())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_still_gives_its_golden_file(name: str) -> None:
    if "ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("zlib-ng deflates to other bytes; what it writes is read back in the other tests")
    assert dumps(MODELS[name]()) == (FOLDER / f"{name}.dcz").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_a_decoder_made_from_the_specification_alone_agrees(name: str) -> None:
    data = (FOLDER / f"{name}.dcz").read_bytes()
    model, other = loads(data), decode(data)
    assert other["zoo"] == model.graph.zoo
    assert other["skeleton"] == model.graph.skeleton
    assert other["provenance"] == dict(model.provenance)
    assert list(other["tensors"]) == [tensor.name for tensor in model.tensors]
    for tensor in model.tensors:
        found = other["tensors"][tensor.name]
        if isinstance(tensor, CodedTensor):
            assert found["bits"] == tensor.bits
            assert np.array(found["centroids"], dtype=np.float32).tobytes() == tensor.values().tobytes()
            assert found["codes"] == tensor.codes.tolist()
            assert found["places"] == tensor.places().tolist()
        else:
            assert np.array(found, dtype=np.float32).tobytes() == tensor.array.tobytes()


def test_the_golden_files_use_every_part_of_the_format() -> None:
    streams = [
        stream
        for name in MODELS
        for tensor in account((FOLDER / f"{name}.dcz").read_bytes()).tensors
        for stream in (tensor.codes, tensor.gaps)
        if stream is not None
    ]
    assert {stream.coder for stream in streams} == {"huffman", "fixed-width", "constant"}
    assert any(stream.lane_bits for stream in streams)


def test_the_dictionary_is_the_specifications() -> None:
    assert dictionary() == DICTIONARY
