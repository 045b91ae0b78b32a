"""Files written once stay readable, are what is written today, and mean what FORMAT.md says they mean."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from make import MODELS
from reference import decode, dictionary

import compress.packed
from compress.coding import CODERS
from compress.coding.bits import BitReader, BitWriter
from compress.coding.blobs import write_blob
from compress.coding.dictionary import DICTIONARY
from compress.packed.container import account, dumps, load, loads
from compress.representation import CompressedModel, CompressedTensor

FOLDER = Path(__file__).parent


def _assert_equal(found: CompressedModel, expected: CompressedModel) -> None:
    assert found.graph == expected.graph
    assert found.provenance == expected.provenance
    for ours, theirs in zip(found.tensors, expected.tensors, strict=True):
        assert (type(ours), ours.name, ours.shape) == (type(theirs), theirs.name, theirs.shape)
        assert ours.dense().tobytes() == theirs.dense().tobytes()
        if isinstance(ours, CompressedTensor) and isinstance(theirs, CompressedTensor):
            assert ours.csr.codes.tobytes() == theirs.csr.codes.tobytes()
            assert ours.csr.indices.tobytes() == theirs.csr.indices.tobytes()
            assert ours.csr.indptr.tobytes() == theirs.csr.indptr.tobytes()
            assert ours.codebook.bits == theirs.codebook.bits
            assert ours.codebook.centroids.tobytes() == theirs.codebook.centroids.tobytes()


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
        if isinstance(tensor, CompressedTensor):
            assert found["bits"] == tensor.codebook.bits
            assert np.array(found["centroids"], dtype=np.float32).tobytes() == tensor.codebook.centroids.tobytes()
            assert found["codes"] == tensor.csr.codes.tolist()
            assert found["places"] == tensor.csr.positions().tolist()
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


def test_the_numbers_of_coders_and_of_methods_of_byte_strings_are_the_specifications() -> None:
    page = (Path(compress.packed.__file__).parent / "FORMAT.md").read_text("utf-8")
    numbers = {name: coder.number for name, coder in CODERS.items()}
    assert numbers == {"huffman": 0, "fixed-width": 1, "constant": 2}
    assert list(numbers.values()) == list(range(len(CODERS)))
    assert "| coder: 0 Huffman, 1 fixed width, 2 constant |" in page
    assert "| method: 0 raw, 1 Deflate, 2 LZMA2 |" in page
    beyond_the_reach_of_deflate = 2 * np.random.default_rng(0).bytes(1 << 15 | 1)
    for method, content in enumerate((b"DCZ", DICTIONARY[:200], beyond_the_reach_of_deflate)):
        out = BitWriter()
        write_blob(out, content)
        assert BitReader(out.to_bytes()).read_golomb(0, "method") == method
