"""Short names for the inner values of an ONNX model: nothing else changes, least of all what it computes."""

from itertools import product
from string import ascii_letters, digits

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from onnx_models import onnx_model

from compress.graph import all_graphs
from export.onnx.short_names import shorten_names

HEAD = '<ir_version: 9, opset_import: ["" : 17]>'

MODELS = {
    "a shared initialiser": """
        main (float[n, 4] x) => (float[n, 4] y) <float[4] shared_scale = {1.5, -2, 3, 0.25}> {
            first_sum = Add(x, shared_scale)
            first_product = Mul(first_sum, shared_scale)
            y = Sub(first_product, shared_scale)
        }""",
    "an initialiser that is an input": """
        main (float[n, 4] x, float[4] scale) => (float[n, 4] y) <float[4] scale = {1.5, -2, 3, 0.25}> {
            first_sum = Add(x, scale)
            y = Mul(first_sum, scale)
        }""",
    "an output that is read": """
        main (float[n, 4] x) => (float[n, 4] first_output, float[n, 4] y) {
            first_output = Neg(x)
            inner_value = Relu(first_output)
            y = Add(inner_value, first_output)
        }""",
    "names that are short already": """
        main (float[n, 4] x, float[4] a) => (float[n, 4] c) <float[4] d = {1.5, -2, 3, 0.25}> {
            e = Add(x, a)
            b = Mul(e, d)
            f = Sub(b, e)
            g = Mul(f, e)
            c = Add(g, e)
        }""",
    "empty inputs": """
        main (float[n, 4] x) => (float[n, 4] y) <float largest = {0.5}> {
            clipped_value = Clip(x, , largest)
            y = Neg(clipped_value)
        }""",
    "an If that reads outer values": """
        main (float[n, 4] x, bool choose) => (float[n, 4] y) <float[4] shared_scale = {1.5, -2, 3, 0.25}> {
            outer_value = Neg(x)
            from_branch = If (choose) <
                then_branch = yes () => (float[n, 4] branch_end) <float[4] own_scale = {1, 2, 3, 4}> {
                    branch_value = Mul(outer_value, own_scale)
                    nested_end = If (choose) <
                        then_branch = deep () => (float[n, 4] deep_end) {
                            deep_end = Add(branch_value, shared_scale)
                        },
                        else_branch = flat () => (float[n, 4] flat_end) {
                            flat_end = Sub(branch_value, outer_value)
                        }
                    >
                    branch_end = Add(nested_end, own_scale)
                },
                else_branch = no () => (float[n, 4] branch_end) {
                    branch_value = Add(outer_value, shared_scale)
                    branch_end = Mul(branch_value, x)
                }
            >
            y = Sub(from_branch, shared_scale)
        }""",
    "a Loop that reads outer values": """
        main (float[n, 4] x, bool choose) => (float[n, 4] y, float[k, n, 4] z)
        <int64 how_often = {3}, float[4] shared_scale = {1.5, -2, 3, 0.25}> {
            outer_value = Neg(x)
            y, z = Loop (how_often, choose, x) <
                body = once (int64 turn, bool go_on, float[n, 4] carried)
                    => (bool again, float[n, 4] carried_on, float[n, 4] noted) {
                    again = Identity(go_on)
                    scaled_value = Mul(carried, shared_scale)
                    carried_on = Add(scaled_value, outer_value)
                    noted = Sub(carried_on, scaled_value)
                }
            >
        }""",
    "a Scan that reads outer values": """
        main (float[n, 4] x) => (float[4] last, float[n, 4] y)
        <float[4] start_value = {0, 0, 0, 0}, float[4] shared_scale = {1.5, -2, 3, 0.25}> {
            last, y = Scan (start_value, x) <
                num_scan_inputs = 1,
                body = step (float[4] carried, float[4] row) => (float[4] carried_on, float[4] noted) {
                    scaled_value = Mul(row, shared_scale)
                    carried_on = Add(carried, scaled_value)
                    noted = Sub(carried_on, scaled_value)
                }
            >
        }""",
}

FUNCTIONS = """
    <ir_version: 9, opset_import: ["" : 17, "local" : 1]>
    main (float[n, 4] x, bool choose) => (float[n, 4] y) {
        first_call = local.outer(x, choose)
        second_call = local.outer(first_call, choose)
        y = Add(first_call, second_call)
    }
    <domain: "local", opset_import: ["" : 17]>
    inner <factor> (formal_input) => (formal_output) {
        the_factor = Constant <value_float: float = @factor> ()
        inner_value = Mul(formal_input, the_factor)
        formal_output = Neg(inner_value)
    }
    <domain: "local", opset_import: ["" : 17, "local" : 1]>
    outer (formal_input, formal_choice) => (formal_output) {
        inner_value = local.inner <factor = 2.5> (formal_input)
        other_value = Relu(inner_value)
        formal_output = If (formal_choice) <
            then_branch = yes () => (branch_end) { branch_end = Add(other_value, formal_input) },
            else_branch = no () => (branch_end) { branch_end = Sub(other_value, inner_value) }
        >
    }
"""


def read(kind: str) -> onnx.ModelProto:
    model = parser.parse_model(FUNCTIONS if kind == "functions" else HEAD + MODELS[kind])
    for graph in all_graphs(model):
        for number, node in enumerate(graph.node):
            node.name, node.doc_string = f"/some/module/{node.op_type}_{number}", "written here"
    model.metadata_props.add(key="made", value="here")
    onnx.checker.check_model(model, full_check=True)
    return model


def outputs(model: onnx.ModelProto) -> list[bytes]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    arrays = {
        "x": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
        "a": np.float32([4, 3, 2, 1]),
    }
    names = {value.name for value in session.get_inputs()}
    found = []
    for choice in (True, False):
        feed = {name: array for name, array in {**arrays, "choose": np.array(choice)}.items() if name in names}
        found += [array.tobytes() for array in session.run(None, feed)]
    return found


def inner_names(model: onnx.ModelProto) -> set[str]:
    """All names but those of the inputs and outputs of the model and its functions."""
    names = set()
    for graph in all_graphs(model):
        for node in graph.node:
            names |= {*node.input, *node.output}
        if isinstance(graph, onnx.GraphProto):
            names |= {value.name for value in (*graph.initializer, *graph.input, *graph.output)}
    for graph in (model.graph, *model.functions):
        names -= {value if isinstance(value, str) else value.name for value in (*graph.input, *graph.output)}
    return names - {""}


def skeleton(model: onnx.ModelProto) -> list[object]:
    """What is to stay."""
    return [
        [[(node.domain, node.op_type, len(node.input), len(node.output)) for node in graph.node]
         for graph in all_graphs(model)],
        [value.SerializeToString() for value in (*model.graph.input, *model.graph.output)],
        [(function.domain, function.name, *function.input, *function.output, *function.attribute)
         for function in model.functions],
        [item.SerializeToString() for item in (*model.opset_import, *model.metadata_props)],
        model.ir_version,
        model.graph.name,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [*MODELS, "functions"])
def test_inner_names_become_single_letters_and_nothing_else_changes(kind: str) -> None:
    model = read(kind)
    before, kept = outputs(model), skeleton(model)
    shorten_names(model)
    onnx.checker.check_model(model, full_check=True)
    assert skeleton(model) == kept
    assert outputs(model) == before
    assert all(len(name) == 1 for name in inner_names(model))
    assert not any(node.name or node.doc_string for graph in all_graphs(model) for node in graph.node)
    again = onnx.ModelProto()
    again.CopyFrom(model)
    shorten_names(again)
    assert again.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_old_and_new_names_of_the_main_graph_are_told() -> None:
    renamed = shorten_names(read("names that are short already"))
    assert renamed == {"e": "b", "d": "d", "b": "e", "f": "f", "g": "g"}


def test_empty_names_stay_empty() -> None:
    model = read("empty inputs")
    shorten_names(model)
    assert list(model.graph.node[0].input) == ["x", "", "a"]
    lstm = helper.make_node("LSTM", ["x", "weights", "more", "", "", "start"], ["", "end"], hidden_size=1)
    model.graph.node.append(lstm)
    shorten_names(model)
    assert [not name for name in model.graph.node[2].input] == [False, False, False, True, True, False]
    assert [not name for name in model.graph.node[2].output] == [True, False]


def test_branches_beside_each_other_have_the_same_names_and_hide_none() -> None:
    model = read("an If that reads outer values")
    shorten_names(model)
    yes, no = (attribute.g for attribute in model.graph.node[1].attribute)
    outer = {name for node in model.graph.node for name in (*node.input, *node.output)}
    own = [{name for node in branch.node for name in node.output} for branch in (yes, no)]
    assert own[1] < own[0] | {yes.initializer[0].name}
    assert not own[0] & outer
    assert yes.output[0].name == yes.node[-1].output[0]


def test_the_most_used_of_many_values_have_the_shortest_names() -> None:
    nodes = [helper.make_node("Neg", ["x"], ["value 0"])]
    for number in range(1, 200):
        nodes.append(helper.make_node("Add", [f"value {number - 1}", "often"], [f"value {number}"]))
    nodes.append(helper.make_node("Neg", ["value 199"], ["y"]))
    stored, shape = {"often": np.float32([1.5, -2, 3, 0.25])}, ["n", 4]
    model = onnx_model(nodes, stored, inputs={"x": shape}, outputs={"y": shape})
    before = outputs(model)
    renamed = shorten_names(model)
    assert outputs(model) == before
    assert renamed["often"] == "a"
    assert renamed["value 199"] > renamed["value 0"]
    letters = set(ascii_letters) - set("xy")
    two = {"".join(pair) for pair in product(ascii_letters, ascii_letters + digits)}
    assert set(renamed.values()) - two == letters
    assert len(set(renamed.values())) == len(renamed) == 201


def test_notes_on_values_are_renamed_with_them() -> None:
    model = read("a shared initialiser")
    graph = model.graph
    for name in ("first_sum", "nowhere", "a"):
        graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]))
    note = graph.quantization_annotation.add(tensor_name="first_sum")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="shared_scale")
    renamed = shorten_names(model)
    assert [value.name for value in graph.value_info] == [renamed["first_sum"], "nowhere", "a"]
    assert note.tensor_name == renamed["first_sum"]
    assert note.quant_parameter_tensor_names[0].value == renamed["shared_scale"]
    assert note.quant_parameter_tensor_names[0].key == "SCALE_TENSOR"
    assert "a" not in renamed.values()


def test_a_sparse_initialiser_is_renamed() -> None:
    graph = onnx.GraphProto()
    sparse = graph.sparse_initializer.add(dims=[4])
    sparse.values.CopyFrom(numpy_helper.from_array(np.float32([2.5]), "sparse_scale"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.int64([1])))
    model = read("a shared initialiser")
    model.graph.sparse_initializer.extend(graph.sparse_initializer)
    model.graph.node[0].input[0] = "sparse_scale"
    renamed = shorten_names(model)
    assert model.graph.sparse_initializer[0].values.name == renamed["sparse_scale"] == model.graph.node[0].input[0]


def test_names_that_training_information_mentions_stay() -> None:
    model = read("a shared initialiser")
    step = helper.make_graph([helper.make_node("Neg", ["shared_scale"], ["a"])], "step", [], [])
    training = model.training_info.add(algorithm=step)
    training.update_binding.add(key="shared_scale", value="a")
    renamed = shorten_names(model)
    assert renamed.keys() == {"first_sum", "first_product"}
    assert not set(renamed.values()) & {"a", "shared_scale"}
