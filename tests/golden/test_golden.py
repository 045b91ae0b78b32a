"""Files written once stay readable, are what is written today, and mean what FORMAT.md says they mean."""

import ast
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from make import MODELS, SKELETONS, skeleton_hash, spellings
from reference import decode, dictionary, zoo_graph, zoo_options

import compress.packed
from compress.coding import CODERS
from compress.coding.bits import BitReader, BitWriter
from compress.coding.blobs import write_blob
from compress.coding.dictionary import DICTIONARY
from compress.errors import UsageError
from compress.graph import graph_of_zoo
from compress.networks import NETWORKS, describe
from compress.packed.container import account, dumps, load, loads
from compress.representation import CodedTensor, CompressedModel
from compress.spelling import defaults_of, parse

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
            assert (ours.bits, ours.axes, ours.group_size) == (theirs.bits, theirs.axes, theirs.group_size)
            assert type(ours.codebook) is type(theirs.codebook)
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
            with np.errstate(under="ignore"):
                assert np.array(found["centroids"], dtype=np.float32).astype(tensor.dtype).tobytes() == (
                    tensor.values().tobytes()
                )
            assert (tuple(found["axes"]), found["group"]) == (tensor.axes, tensor.group_size)
            assert found["codes"] == tensor.codes.tolist()
            assert found["places"] == tensor.places().tolist()
        else:
            assert np.array(found, dtype=np.float32).astype(tensor.array.dtype).tobytes() == tensor.array.tobytes()


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


def test_every_named_network_stays_the_graph_that_it_was() -> None:
    """A new family, option or word needs new lines, which `python -m tests.golden.make` adds; none may change."""
    pinned = json.loads(SKELETONS.read_text("utf-8"))
    assert {spelling: skeleton_hash(spelling) for spelling in spellings()} == pinned


def test_the_page_lists_the_families_with_their_options_values_and_defaults() -> None:
    page = zoo_options()
    assert list(page) == list(NETWORKS)
    for family, options in page.items():
        assert set(options) == set(defaults_of(NETWORKS[family]))
        for option, (values, default) in options.items():
            assert parse("network", f"{family}({option}={default})", NETWORKS)[1] == {
                option: defaults_of(NETWORKS[family])[option]
            }
            allowed = {"number": ["1", "65536"], "rate": ["0", "0.999999"]}.get(values, values.split(", "))
            for value in allowed:
                parse("network", f"{family}({option}={value})", NETWORKS)
            with pytest.raises(UsageError):
                describe(f"{family}({option}={'1' if values == 'rate' else '0' if values == 'number' else 'other'})")


@pytest.mark.parametrize("spelling", dict.fromkeys(spellings()))
def test_the_page_alone_gives_the_graph_of_every_named_network(spelling: str) -> None:
    ours = graph_of_zoo(spelling)
    assert zoo_graph(spelling) == onnx.load_model_from_string(ours.skeleton)
    assert zoo_graph(spelling).SerializeToString(deterministic=True) == ours.skeleton


def test_the_second_decoder_knows_nothing_of_ours() -> None:
    tree = ast.parse((FOLDER / "reference.py").read_text("utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(str(node.module).partition(".")[0])
        elif isinstance(node, ast.Name):
            assert node.id not in ("__import__", "exec", "eval")
    assert found <= {*sys.stdlib_module_names, "numpy", "onnx"} - {"importlib", "runpy"}
