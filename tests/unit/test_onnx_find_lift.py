"""Weights of any ONNX model are found wherever they are kept, and lifted to the main graph without changing it."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import onnx_model

from compress.onnx_file.find import find_weights, small_tensors
from compress.onnx_file.lift import lift
from compress.onnx_file.read import OnnxFile

GENERATOR = np.random.default_rng(0)


def values(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


def constant(name: str, array: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def model_of(nodes: list[Any], initializers: dict[str, np.ndarray] | None = None, **more: Any) -> onnx.ModelProto:
    further = more.pop("inputs", [])
    model = onnx_model(nodes, initializers, inputs={"x": ["n", 16]}, outputs={"y": ["n", "m"]}, **more)
    model.graph.input.extend(further)
    onnx.checker.check_model(model, full_check=True)
    return model


def outputs(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"x": np.random.default_rng(1).normal(size=(3, 16)).astype(np.float32)}
    if any(value.name == "choose" for value in session.get_inputs()):
        feed["choose"] = np.array(True)
    return np.asarray(session.run(None, feed)[0])


def subgraph_model() -> onnx.ModelProto:
    def branch(name: str, stored_as_node: bool) -> onnx.GraphProto:
        array = values(16, 32)
        nodes = [constant("w", array)] if stored_as_node else []
        nodes.append(helper.make_node("MatMul", ["x", "w"], [f"{name} y"]))
        output = helper.make_tensor_value_info(f"{name} y", TensorProto.FLOAT, ["n", 32])
        stored = [] if stored_as_node else [numpy_helper.from_array(array, "w")]
        return helper.make_graph(nodes, name, [], [output], stored)

    node = helper.make_node(
        "If", ["choose"], ["y"], then_branch=branch("then", True), else_branch=branch("else", False)
    )
    return model_of([node], inputs=[helper.make_tensor_value_info("choose", TensorProto.BOOL, [])])


def function_model() -> onnx.ModelProto:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    inner = helper.make_function(
        "local",
        "inner",
        ["a", "b"],
        ["c"],
        [constant("w", values(16, 32)), helper.make_node("MatMul", ["a", "w"], ["c"])],
        imports,
    )
    outer = helper.make_function(
        "local",
        "outer",
        ["a"],
        ["d"],
        [
            constant("w", values(32, 16)),
            helper.make_node("inner", ["a"], ["b"], domain="local"),
            helper.make_node("MatMul", ["b", "w"], ["d"]),
        ],
        imports,
    )
    calls = [
        helper.make_node("outer", ["x"], ["h"], domain="local"),
        helper.make_node("inner", ["h"], ["y"], domain="local"),
    ]
    return model_of(calls, functions=[inner, outer])


MODELS = {
    "initialisers": lambda: model_of(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "v"], ["y"])],
        {"w": values(16, 32), "v": values(32, 16)},
    ),
    "constants": lambda: model_of(
        [
            constant("w", values(16, 32)),
            constant("v", values(32, 16)),
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("MatMul", ["h", "v"], ["y"]),
        ]
    ),
    "subgraphs": subgraph_model,
    "functions": function_model,
}


@pytest.mark.parametrize("kind", MODELS)
def test_two_weights_are_found_and_lifted_without_a_change(kind: str) -> None:
    model = MODELS[kind]()
    before = outputs(model)
    weights, left = find_weights(OnnxFile(model))
    assert len(weights) == 2
    assert not left
    arrays = [numpy_helper.to_array(weight.tensor) for weight in weights]
    names = lift(model, weights)
    assert len(set(names)) == 2
    stored = {initializer.name for initializer in model.graph.initializer}
    assert not stored & set(names)
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in zip(names, arrays, strict=True)
    )
    onnx.checker.check_model(model, full_check=True)
    assert not find_weights(OnnxFile(model))[1]
    assert outputs(model).tobytes() == before.tobytes()


def test_the_name_of_a_main_graph_weight_stays() -> None:
    model = MODELS["constants"]()
    assert lift(model, find_weights(OnnxFile(model))[0]) == ["w", "v"]


def test_a_weight_read_twice_is_found_once() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "w"], ["y"]),
    ]
    weights, _ = find_weights(OnnxFile(model_of(nodes, {"w": values(16, 16)})))
    assert [weight.label for weight in weights] == ["w"]
    assert weights[0].channel_axis == 1


def test_what_a_caller_may_override_is_left() -> None:
    override = helper.make_tensor_value_info("w", TensorProto.FLOAT, [16, 32])
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": values(16, 32)}, inputs=[override])
    assert find_weights(OnnxFile(model)) == ([], {"w": "also an input of the graph, which a caller may override"})


def test_small_vectors_empty_and_unread_tensors_are_no_weights() -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["y"])]
    empty = {"b": values(16), "long": values(512), "none": values(0, 4096), "unread": values(64, 64)}
    model = model_of(nodes, empty)
    weights, left = find_weights(OnnxFile(model))
    assert not weights
    assert left == {"unread": "read by no node"}
    assert small_tensors(OnnxFile(model)) == (3, 4 * (16 + 512))


@pytest.mark.parametrize(
    ("operator", "shape", "options", "axis"),
    [
        ("MatMul", (16, 32), {}, 1),
        ("Gemm", (16, 32), {}, 1),
        ("Gemm", (32, 16), {"transB": 1}, 0),
    ],
)
def test_the_axis_of_the_output_channels_is_known(
    operator: str, shape: tuple[int, ...], options: dict[str, int], axis: int
) -> None:
    model = model_of([helper.make_node(operator, ["x", "w"], ["y"], **options)], {"w": values(*shape)})
    [weight] = find_weights(OnnxFile(model))[0]
    assert weight.channel_axis == axis
    assert weight.operators == (operator,)
