"""Short names on graphs in graphs: whatever the names were, the model is valid, computes the same, and stays."""

import numpy as np
import onnx
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.onnx.short_names import shorten_names

NAMES = [*"abcdefgh", "x1", "aa", "7", "/model/layer.0/Add_output_0", "scale:0", "ü", "A", "B"]


def graph_of(draw: st.DrawFn, name: str, outer: list[str], reserved: set[str], depth: int) -> onnx.GraphProto:
    """A graph that reads the values `outer`; the names that it and its subgraphs use are added to `reserved`."""
    visible, nodes, stored = list(outer), [], []

    def fresh() -> str:
        free = [known for known in NAMES if known not in reserved] or [f"more {len(reserved)}"]
        reserved.add(chosen := draw(st.sampled_from(free)))
        return chosen

    for _ in range(draw(st.integers(0, 1))):
        stored.append(numpy_helper.from_array(np.float32(draw(st.permutations([-2, 0.5, 3]))), fresh()))
        visible.append(stored[-1].name)
    for _ in range(draw(st.integers(1, 4))):
        if depth and draw(st.booleans()):
            branches, below = {}, set(reserved)
            for branch in ("then_branch", "else_branch"):
                mine = set(reserved)
                branches[branch] = graph_of(draw, branch, visible, mine, depth - 1)
                below |= mine
            reserved |= below
            nodes.append(helper.make_node("If", ["choose"], [fresh()], **branches))
        else:
            pair = [draw(st.sampled_from(visible)) for _ in range(2)]
            nodes.append(helper.make_node(draw(st.sampled_from(["Add", "Sub"])), pair, [fresh()]))
        visible.append(nodes[-1].output[0])
    end = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [3])
    return helper.make_graph(nodes, name, [], [end], stored)


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    start = draw(st.sampled_from(NAMES))
    graph = graph_of(draw, "main", [start], {start, "choose"}, 2)
    graph.input.append(helper.make_tensor_value_info(start, TensorProto.FLOAT, [3]))
    graph.input.append(helper.make_tensor_value_info("choose", TensorProto.BOOL, []))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def outputs(model: onnx.ModelProto) -> list[bytes]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    start = next(value.name for value in session.get_inputs() if value.name != "choose")
    values = np.float32([0.5, -1, 3])
    return [session.run(None, {start: values, "choose": np.array(choice)})[0].tobytes() for choice in (True, False)]


@settings(max_examples=60, deadline=None)
@given(models())
def test_any_names_become_short_and_the_model_computes_the_same(model: onnx.ModelProto) -> None:
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model)
    ends = [value.SerializeToString() for value in (*model.graph.input, *model.graph.output)]
    before = outputs(model)
    renamed = shorten_names(model)
    onnx.checker.check_model(model, full_check=True)
    assert [value.SerializeToString() for value in (*model.graph.input, *model.graph.output)] == ends
    assert outputs(model) == before
    assert len(set(renamed.values())) == len(renamed)
    again = onnx.ModelProto()
    again.CopyFrom(model)
    shorten_names(again)
    assert again == model
