"""The targets `onnx` and `onnx-fixed`: the numbers of the dense network, and no decoder left after load."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_models import compressed

from compress.errors import UnsupportedError, UsageError
from compress.representation import CodedTensor, CompressedModel, DenseTensor
from export import TARGETS
from export.onnx.coded import plan_of_model
from export.onnx.decoder import attach

LEVELS = onnxruntime.GraphOptimizationLevel
CODED = ("onnx", "onnx-fixed")


def written(model: CompressedModel, target: str, **options: object) -> bytes:
    files: Mapping[str, bytes] = TARGETS[target].dumps(model, stem="model", **options)
    assert list(files) == [".onnx"]
    return files[".onnx"]


def session(
    content: bytes, level: object = LEVELS.ORT_ENABLE_ALL, save: Path | None = None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if save is not None:
        options.optimized_model_filepath = str(save)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).random((count, 1, 32, 32)).astype(np.float32)


WAYS = {
    "onnx": ("onnx", {}),
    "onnx in lanes": ("onnx", {"max_load_memory": 2_300_000}),
    "onnx in lanes, plain nodes": ("onnx", {"max_load_memory": 2_300_000, "functions": False}),
    "onnx in phases": ("onnx", {"max_load_memory": 1_300_000}),
    "onnx-fixed": ("onnx-fixed", {}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_outputs_are_the_dense_exports_bit_for_bit(way: str, level: str) -> None:
    model = compressed()
    target, options = WAYS[way]
    chosen = getattr(LEVELS, level)
    [found] = session(written(model, target, **options), chosen).run(None, {"input": images()})
    [wanted] = session(written(model, "onnx-dense"), chosen).run(None, {"input": images()})
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("way", WAYS)
def test_onnxruntime_folds_the_decoder_into_the_weights(way: str, tmp_path: Path) -> None:
    model = compressed()
    target, options = WAYS[way]
    session(written(model, target, **options), LEVELS.ORT_ENABLE_BASIC, tmp_path / "folded.onnx")
    folded = onnx.load(tmp_path / "folded.onnx")
    operators = {node.op_type for node in folded.graph.node}
    assert operators <= {"Conv", "Relu", "FusedConv", "MaxPool", "Flatten", "Reshape", "Gemm", "FusedGemm"}
    arrays = {initializer.name: numpy_helper.to_array(initializer) for initializer in folded.graph.initializer}
    for name, weights in model.weights().items():
        assert arrays[name].tobytes() == weights.tobytes(), name


@pytest.mark.parametrize("way", WAYS)
def test_onnx_reference_decodes_it_too(way: str) -> None:
    model = compressed()
    target, options = WAYS[way]
    proto = onnx.load_model_from_string(written(model, target, **options))
    names = [part.name for part in model.coded]
    for name in names:
        proto.graph.output.add(name=name)
    found = ReferenceEvaluator(proto).run(names, {"input": images(1)})
    for name, array in zip(names, found, strict=True):
        assert array.tobytes() == model.weights()[name].tobytes(), name


@pytest.mark.parametrize("target", CODED)
def test_the_written_file_is_small_and_holds_no_dense_weight(target: str) -> None:
    model = compressed()
    content = written(model, target)
    proto = onnx.load_model_from_string(content)
    onnx.checker.check_model(proto, full_check=True)
    assert len(content) < 14_000
    coded = {part.name for part in model.coded}
    assert not coded & {initializer.name for initializer in proto.graph.initializer}
    assert all(
        initializer.data_type != onnx.TensorProto.FLOAT or np.prod(initializer.dims) < 200
        for initializer in proto.graph.initializer
    )
    assert {(item.domain, item.version) for item in proto.opset_import} == {("", 17)}


def test_huffman_is_smaller_than_fixed_widths() -> None:
    model = compressed()
    assert len(written(model, "onnx")) < len(written(model, "onnx-fixed")) < len(written(model, "onnx-dense")) / 15


def test_the_graph_of_the_decoder_is_a_few_kilobytes() -> None:
    content = written(compressed(), "onnx")
    proto = onnx.load_model_from_string(content)
    nodes = sum(node.ByteSize() for node in proto.graph.node)
    small = sum(i.ByteSize() for i in proto.graph.initializer if i.ByteSize() < 60)
    assert nodes + small < 3_600


def test_plain_nodes_hold_no_function() -> None:
    model = compressed()
    with_functions = onnx.load_model_from_string(written(model, "onnx", max_load_memory=2_300_000))
    without = onnx.load_model_from_string(written(model, "onnx", max_load_memory=2_300_000, functions=False))
    assert [function.name for function in with_functions.functions] == ["t", "s"]
    assert not without.functions
    assert {item.domain for item in without.opset_import} == {""}


def test_past_the_memory_bound_layers_get_fixed_widths_and_the_plan_says_so() -> None:
    model = compressed()
    names = {part.name for part in model.coded}
    free = plan_of_model(model, functions=False)
    assert not free.forced
    assert {part.name for part in free.huffman} == names
    limit = free.memory - 20_000
    bound = plan_of_model(model, functions=False, max_load_memory=limit)
    assert bound.forced
    assert {part.name for part in bound.fixed} == set(bound.forced) < names
    nothing = plan_of_model(model, max_load_memory=0)
    assert set(nothing.forced) == names
    content = written(model, "onnx", functions=False, max_load_memory=limit)
    [found] = session(content).run(None, {"input": images()})
    [wanted] = session(written(model, "onnx-dense")).run(None, {"input": images()})
    assert found.tobytes() == wanted.tobytes()


def test_a_negative_bound_on_memory_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^max-load-memory: found -1, allowed 0 or more bytes$"):
        written(compressed(), "onnx", max_load_memory=-1)


def test_past_the_memory_bound_a_network_is_decoded_in_phases() -> None:
    model = compressed()
    bound = plan_of_model(model, max_load_memory=1_300_000)
    assert not bound.forced
    assert len(bound.phases) == 3
    assert bound.memory <= 1_300_000 < plan_of_model(model).memory
    target, options = WAYS["onnx in phases"]
    nodes = onnx.load_model_from_string(written(model, target, **options)).graph.node
    assert [node.op_type for node in nodes].count("Scan") == 2


@pytest.mark.parametrize("target", CODED)
def test_a_layer_without_a_survivor_stays_zero(target: str) -> None:
    model = compressed()
    empty = model.tensors[0]
    assert isinstance(empty, CodedTensor)
    nothing = np.zeros(empty.shape, np.bool_)
    hollow = CodedTensor.of_mask(empty.name, nothing, np.zeros(0, np.uint8), np.zeros(0, np.float32), 5)
    model = CompressedModel(model.graph, (hollow, *model.tensors[1:]))
    [found] = session(written(model, target)).run(None, {"input": images()})
    [wanted] = session(written(model, "onnx-dense")).run(None, {"input": images()})
    assert found.tobytes() == wanted.tobytes()
    assert len(written(model, target)) < 14_000


@pytest.mark.parametrize("target", CODED)
def test_a_network_of_dense_tensors_is_the_dense_export(target: str) -> None:
    model = compressed()
    dense = CompressedModel(model.graph, tuple(DenseTensor(t.name, t.dense()) for t in model.tensors))
    assert written(dense, target) == written(dense, "onnx-dense")


def test_an_old_operator_set_is_refused() -> None:
    proto = compressed().graph.model(compressed().weights())
    proto.opset_import[0].version = 10
    with pytest.raises(UnsupportedError, match=r"^opset: found 10, allowed 11 or later \(CumSum, ScatterElements\)$"):
        attach(proto, compressed().coded)


@pytest.mark.parametrize("target", CODED)
def test_names_already_in_the_graph_are_left_alone(target: str) -> None:
    model = compressed()
    proto = model.graph.model(model.weights())
    renamed = {"input": "a", "logits": "b", "c1": "c"}
    for node in proto.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    proto.graph.input[0].name, proto.graph.output[0].name = "a", "b"
    attach(proto, model.coded, huffman=target == "onnx")
    onnx.checker.check_model(proto, full_check=True)
    [found] = session(proto.SerializeToString()).run(["b"], {"a": images()})
    [wanted] = session(written(model, "onnx-dense")).run(None, {"input": images()})
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("target", CODED)
def test_biases_that_half_precision_holds_exactly_are_stored_in_it(target: str, tmp_path: Path) -> None:
    model = compressed()
    halved = CompressedModel(
        model.graph,
        tuple(
            DenseTensor(tensor.name, tensor.array.astype(np.float16).astype(np.float32))
            if isinstance(tensor, DenseTensor)
            else tensor
            for tensor in model.tensors
        ),
    )
    assert len(written(halved, target)) < len(written(model, target)) - 350
    session(written(halved, target), LEVELS.ORT_ENABLE_BASIC, tmp_path / "folded.onnx")
    folded = onnx.load(tmp_path / "folded.onnx")
    arrays = {initializer.name: numpy_helper.to_array(initializer) for initializer in folded.graph.initializer}
    for name, weights in halved.weights().items():
        assert arrays[name].tobytes() == weights.tobytes(), name
