"""The graph: weights in and out, what counts as a parameter, what a traced module leaves of itself."""

import hashlib
import logging
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from compress.errors import UnsupportedError
from compress.graph import Graph, graph_of_model, graph_of_module, graph_of_network, graph_of_zoo
from compress.networks import describe


class _Block(nn.Module):
    """Batch norm, a residual connection, dropout, a bare parameter and a constant buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.inner = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.head = nn.Linear(4, 3)
        self.drop = nn.Dropout(0.5)
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("offset", torch.arange(3, dtype=torch.float32))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        stem = torch.relu(self.norm(self.stem(inputs)))
        pooled = torch.relu(stem + self.inner(stem)).mean((2, 3))
        return self.head(self.drop(pooled)) * self.scale + self.get_buffer("offset")


def _block() -> _Block:
    torch.manual_seed(0)
    block = _Block()
    for name, value in block.state_dict().items():
        if "running" in name:
            value.uniform_(0.5, 1.5)
    return block


def _model(*initialisers: TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Identity", ["input"], ["logits"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in ("input", "logits")]
    graph = helper.make_graph([node], "made", value[:1], value[1:], list(initialisers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _weights(graph: Graph, module: nn.Module) -> dict[str, np.ndarray]:
    state = module.state_dict()
    return {name: state[name].numpy() for name in graph.parameters}


def test_a_traced_module_computes_the_same_in_onnxruntime_for_any_batch() -> None:
    block = _block()
    graph = graph_of_module(block, torch.zeros(1, 1, 6, 6))
    model = graph.model(_weights(graph, block))
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    block.eval()
    for count in (1, 2, 5):
        inputs = torch.randn(count, 1, 6, 6)
        with torch.no_grad():
            expected = block(inputs).numpy()
        assert np.abs(session.run(None, {"input": inputs.numpy()})[0] - expected).max() <= 1e-5


def test_a_traced_module_keeps_its_names_and_its_batch_norm_its_four_parameters() -> None:
    graph = graph_of_module(_block(), torch.zeros(1, 1, 6, 6))
    assert dict(graph.parameters) == {
        "stem.weight": (4, 1, 3, 3),
        "norm.weight": (4,),
        "norm.bias": (4,),
        "norm.running_mean": (4,),
        "norm.running_var": (4,),
        "inner.weight": (4, 2, 3, 3),
        "inner.bias": (4,),
        "head.weight": (3, 4),
        "head.bias": (3,),
        "scale": (),
        "offset": (3,),
    }
    assert graph.zoo is None


def test_no_weight_and_nothing_of_the_machine_is_left_in_the_skeleton() -> None:
    block = _block()
    graph = graph_of_module(block, torch.zeros(1, 1, 6, 6))
    for value in block.state_dict().values():
        if value.numel() > 3:
            assert value.numpy().tobytes() not in graph.skeleton
    model = onnx.load_model_from_string(graph.skeleton)
    assert (model.producer_name, model.producer_version, model.doc_string) == ("", "", "")
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    for trace in (b".py", b"torch", b"/home", b"/tmp", b"site-packages"):
        assert trace not in graph.skeleton


def test_the_same_module_gives_the_same_bytes_twice_whatever_its_weights() -> None:
    first, second = _block(), _block()
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(1)
    example = torch.zeros(1, 1, 6, 6)
    digests = {hashlib.sha256(graph_of_module(block, example).skeleton).hexdigest() for block in (first, first, second)}
    assert len(digests) == 1


def test_tracing_leaves_the_module_and_the_log_as_they_were() -> None:
    block = _block()
    block.norm.eval()
    state = {name: value.clone() for name, value in block.state_dict().items()}
    level = logging.getLogger("torch.onnx").level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph_of_module(block, torch.zeros(1, 1, 6, 6))
    assert [block.training, block.norm.training, block.drop.training] == [True, False, True]
    assert all(torch.equal(value, state[name]) for name, value in block.state_dict().items())
    assert logging.getLogger("torch.onnx").level == level


def test_a_module_that_cannot_be_traced_gets_one_line() -> None:
    class Untraceable(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            raise ValueError("not for tracing\nat all")

    with pytest.raises(UnsupportedError) as caught:
        graph_of_module(Untraceable(3, 2), torch.zeros(1, 3))
    message = str(caught.value)
    assert message.startswith("Untraceable: cannot be traced to ONNX (")
    assert "\n" not in message


def test_parameters_that_are_not_float32_are_refused() -> None:
    with pytest.raises(UnsupportedError) as caught:
        graph_of_module(nn.Linear(3, 2).half(), torch.zeros(1, 3, dtype=torch.float16))
    assert str(caught.value) == "weight: found a parameter of type torch.float16, allowed torch.float32"


def test_weights_of_another_shape_are_refused() -> None:
    graph = graph_of_zoo("lenet-300-100")
    weights = {name: np.zeros(shape, np.float32) for name, shape in graph.parameters.items()}
    weights["ip2.bias"] = np.zeros(101, np.float32)
    with pytest.raises(ValueError, match=r"^ip2\.bias: found \(101,\), allowed \(100,\)$"):
        graph.model(weights)


def test_filling_in_weights_leaves_the_graph_empty_and_gives_them_back() -> None:
    graph = graph_of_zoo("lenet-300-100")
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in graph.parameters.items()}
    model = graph.model(weights)
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert all(np.array_equal(found[name], weights[name]) for name in weights)
    assert len(graph.skeleton) < 1000
    assert graph_of_model(model, graph.parameters).skeleton == graph.skeleton


def test_dropout_is_absent_from_the_graph_and_batch_norm_is_not() -> None:
    model = onnx.load_model_from_string(graph_of_zoo("lenet-5(batch_norm=true,dropout=0.5)").skeleton)
    assert [node.op_type for node in model.graph.node] == [
        *("Conv", "BatchNormalization", "Relu", "MaxPool"),
        *("Conv", "BatchNormalization", "Relu", "MaxPool"),
        *("Conv", "BatchNormalization", "Relu", "Flatten"),
        *("Gemm", "BatchNormalization", "Relu", "Gemm"),
    ]
    assert list(model.graph.node[1].input)[1:] == [
        f"norm1.{part}" for part in ("weight", "bias", "running_mean", "running_var")
    ]
    without = graph_of_zoo("lenet-5(batch_norm=true)")
    assert onnx.load_model_from_string(without.skeleton).graph.node == model.graph.node


def test_a_chain_of_layers_without_a_name_in_the_zoo_carries_its_skeleton() -> None:
    graph = graph_of_network(describe("lenet-5"))
    assert graph.zoo is None
    assert graph.skeleton == graph_of_zoo("lenet-5").skeleton


def test_constants_keep_their_data_and_parameters_lose_theirs() -> None:
    constant = helper.make_tensor("constant", TensorProto.FLOAT, [2], [1.0, 2.0])
    kept = helper.make_tensor("shape", TensorProto.INT64, [1], [3])
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [2], [3.0, 4.0])
    graph = graph_of_model(_model(constant, kept, weight), {"weight": (2,)})
    assert dict(graph.parameters) == {"weight": (2,)}
    model = graph.model({"weight": np.array([5.0, 6.0], np.float32)})
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer}
    assert arrays == {"constant": [1.0, 2.0], "shape": [3], "weight": [5.0, 6.0]}


@pytest.mark.parametrize("raw", [False, True])
def test_a_constant_of_no_elements_is_no_parameter(raw: bool) -> None:
    """Such as the unused `roi` of a Resize: it never has data, before or after."""
    empty = TensorProto(name="roi", dims=[0], data_type=TensorProto.FLOAT)
    if raw:
        empty.raw_data = b""
    graph = graph_of_model(_model(empty), {})
    assert dict(graph.parameters) == {}
    assert dict(Graph(None, graph.skeleton).parameters) == {}
    onnx.checker.check_model(graph.model({}), full_check=True)


def test_a_parameter_of_no_elements_is_one() -> None:
    empty = TensorProto(name="weight", dims=[3, 0], data_type=TensorProto.FLOAT)
    graph = graph_of_model(_model(empty), {"weight": (3, 0)})
    assert dict(graph.parameters) == {"weight": (3, 0)}
    model = graph.model({"weight": np.zeros((3, 0), np.float32)})
    onnx.checker.check_model(model, full_check=True)
    assert dict(graph_of_model(model, {}).parameters) == {}


@pytest.mark.parametrize(
    ("initialiser", "parameters", "message"),
    [
        (
            helper.make_tensor("weight", TensorProto.FLOAT, [2], [1.0, 2.0]),
            {"weight": (3,)},
            "weight: no initialiser of shape (3,) in the graph, of a type that is coded",
        ),
        (
            helper.make_tensor("weight", TensorProto.DOUBLE, [2], [1.0, 2.0]),
            {"weight": (2,)},
            "weight: no initialiser of shape (2,) in the graph, of a type that is coded",
        ),
        (
            helper.make_tensor("weight", TensorProto.FLOAT, [2], [1.0, 2.0]),
            {"bias": (2,)},
            "bias: no initialiser of shape (2,) in the graph, of a type that is coded",
        ),
        (
            TensorProto(name="weight", dims=[2], data_type=TensorProto.FLOAT),
            {},
            "weight: found an initialiser without data that is no parameter",
        ),
        (
            TensorProto(name="weight", dims=[2], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL),
            {},
            "weight: found data in another file, allowed a model loaded with its data",
        ),
    ],
)
def test_a_model_that_does_not_hold_its_parameters_gets_one_line(
    initialiser: TensorProto, parameters: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        graph_of_model(_model(initialiser), parameters)
    assert str(caught.value) == message
