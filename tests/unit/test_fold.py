"""An ONNX model without the nodes that do not depend on its input: nothing else changes, bit for bit."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import compressed

from compress.errors import UnsupportedError
from compress.graph import graph_of_zoo
from compress.onnx_file.fold import fold
from export import TARGETS

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain nodes": ("onnx", {}),
    "a function": ("onnx", {"max_load_memory": 2_300_000}),
    "no functions": ("onnx", {"max_load_memory": 2_300_000, "functions": False}),
    "fixed widths": ("onnx-fixed", {}),
}


def arrays(model: onnx.ModelProto) -> dict[str, bytes]:
    return {item.name: numpy_helper.to_array(item).tobytes() for item in model.graph.initializer}


def small(nodes: list[onnx.NodeProto], stored: dict[str, np.ndarray], **more: Any) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "y")]
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "main", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **more)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("network", ["lenet-5", "lenet-300-100"])
def test_a_file_that_decodes_itself_becomes_the_dense_network(network: str, way: str) -> None:
    target, options = WAYS[way]
    model = compressed(graph=graph_of_zoo(network))
    coded = onnx.load_model_from_string(TARGETS[target].dumps(model, **options)[".onnx"])
    before = coded.SerializeToString(deterministic=True)
    dense = onnx.load_model_from_string(TARGETS["onnx-dense"].dumps(model)[".onnx"])
    plain = fold(coded)
    assert coded.SerializeToString(deterministic=True) == before
    assert arrays(plain) == arrays(dense)
    assert [node.SerializeToString() for node in plain.graph.node] == [
        node.SerializeToString() for node in dense.graph.node
    ]
    assert not plain.functions
    onnx.checker.check_model(plain, full_check=True)


def test_what_the_input_reaches_stays_with_its_functions() -> None:
    double = helper.make_function(
        "own", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    nodes = [
        helper.make_node("Double", ["w"], ["w2"], domain="own"),
        helper.make_node("Double", ["x"], ["h"], domain="own"),
        helper.make_node("Mul", ["h", "w2"], ["y"]),
    ]
    model = small(nodes, {"w": np.float32([1, 2, 3])}, functions=[double])
    model.opset_import.add(domain="own", version=1)
    plain = fold(model)
    assert [node.op_type for node in plain.graph.node] == ["Double", "Mul"]
    assert arrays(plain) == {"w2": np.float32([2, 4, 6]).tobytes()}
    assert [function.name for function in plain.functions] == ["Double"]
    session = onnxruntime.InferenceSession(plain.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 3), np.float32)})[0].tolist() == [[4, 8, 12]]


def test_what_a_subgraph_takes_from_outside_is_kept() -> None:
    branch = [
        helper.make_graph(
            [helper.make_node("Add", ["x", name], [f"out {name}"])],
            name,
            [],
            [helper.make_tensor_value_info(f"out {name}", TensorProto.FLOAT, None)],
        )
        for name in ("w", "w2")
    ]
    nodes = [
        helper.make_node("Add", ["w", "w"], ["w2"]),
        helper.make_node("Add", ["w2", "w"], ["unused"]),
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "limit"], ["large"]),
        helper.make_node("If", ["large"], ["y"], then_branch=branch[0], else_branch=branch[1]),
    ]
    plain = fold(small(nodes, {"w": np.float32([1, 2, 3]), "limit": np.float32(5)}))
    assert [node.op_type for node in plain.graph.node] == ["ReduceMax", "Greater", "If"]
    assert set(arrays(plain)) == {"w", "w2", "limit"}


def test_random_numbers_are_no_constant() -> None:
    nodes = [
        helper.make_node("RandomNormal", [], ["noise"], shape=[1, 3]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    assert [node.op_type for node in fold(small(nodes, {})).graph.node] == ["RandomNormal", "Add"]


def test_constants_that_cannot_be_computed_or_stored_are_refused() -> None:
    nodes = [helper.make_node("Reshape", ["w", "shape"], ["v"]), helper.make_node("Add", ["x", "v"], ["y"])]
    model = small(nodes, {"w": np.float32([1, 2, 3]), "shape": np.int64([2, 2])})
    with pytest.raises(UnsupportedError, match=r"^graph: its constants cannot be computed \(.*Reshape.*\)$"):
        fold(model)
    nodes = [
        helper.make_node("SequenceConstruct", ["w", "w"], ["list"]),
        helper.make_node("SequenceAt", ["list", "place"], ["picked"]),
        helper.make_node("ConcatFromSequence", ["list"], ["all"], axis=0),
        helper.make_node("SequenceInsert", ["list", "x"], ["longer"]),
        helper.make_node("SequenceAt", ["longer", "place"], ["y"]),
    ]
    with pytest.raises(UnsupportedError) as caught:
        fold(small(nodes, {"w": np.float32([1, 2, 3]), "place": np.int64(0)}))
    assert str(caught.value) == "list: found a constant that is a list, allowed a tensor"
