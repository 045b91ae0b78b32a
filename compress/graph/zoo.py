"""The graph of a chain of layers of ours: one of the zoo by its spelling, or one that lost filters."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from compress.graph.graph import Graph
from compress.networks import describe
from compress.networks.layers import Activation, BatchNorm, Conv2d, Dropout, Flatten, Linear, Network, Pool2d

if TYPE_CHECKING:
    import onnx

__all__ = ["OPSET", "graph_of_network", "graph_of_zoo"]

OPSET = 17
"""Operator set of the graphs we build ourselves; a graph that comes from an ONNX file keeps its own."""

_IR_VERSION = 8
"""The one that came with that operator set, in ONNX 1.12."""


@lru_cache(maxsize=32)
def graph_of_zoo(name: str) -> Graph:
    """The graph of a network of ours, built from its layers without torch.

    Parameters
    ----------
    name : str
        A spelling, such as `lenet-5(activation=tanh,pool=average)`; the graph's `zoo` is that spelling in its one form.

    Raises
    ------
    UsageError
        An unknown family or option, or a value that is not allowed.
    """
    network = describe(name)
    return Graph(network.name, _onnx_of_network(network).SerializeToString(deterministic=True))


def graph_of_network(network: Network) -> Graph:
    """The graph of a chain of layers that the zoo has no name for, such as one that lost some of its filters."""
    return Graph(None, _onnx_of_network(network).SerializeToString(deterministic=True))


def _onnx_of_network(network: Network) -> "onnx.ModelProto":
    from onnx import TensorProto, helper

    nodes, current = [], "input"
    layers = [layer for layer in network.layers if not isinstance(layer, Dropout)]
    last = layers[-1].name
    for layer in layers:
        attributes: dict[str, Any] = {}
        parts: tuple[str, ...] = ()
        match layer:
            case Conv2d():
                operator, parts = "Conv", ("weight", "bias") if layer.bias else ("weight",)
                attributes = {"kernel_shape": [layer.kernel] * 2, "pads": [layer.padding] * 4}
            case Linear():
                operator, parts = "Gemm", ("weight", "bias") if layer.bias else ("weight",)
                attributes = {"transB": 1}
            case BatchNorm():
                operator, parts = "BatchNormalization", ("weight", "bias", "running_mean", "running_var")
            case Activation():
                operator = {"relu": "Relu", "tanh": "Tanh"}[layer.kind]
            case Pool2d():
                operator = {"max": "MaxPool", "average": "AveragePool"}[layer.kind]
                attributes = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.kernel] * 2}
            case Flatten():
                operator, attributes = "Flatten", {"axis": 1}
        inputs = [current, *(f"{layer.name}.{part}" for part in parts)]
        current = "logits" if layer.name == last else layer.name
        nodes.append(helper.make_node(operator, inputs, [current], layer.name, **attributes))
    hollow = [
        TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT) for name, shape in network.parameters().items()
    ]
    sources = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *network.input_shape])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", _output_size(network)])]
    graph = helper.make_graph(nodes, network.name, sources, outputs, hollow)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)


def _output_size(network: Network) -> int:
    for layer in reversed(network.layers):
        if isinstance(layer, Linear):
            return layer.out_features
    raise ValueError(f"{network.name}: found no linear layer, allowed at least one")
