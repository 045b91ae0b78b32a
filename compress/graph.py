"""The network's graph without its weights: an ONNX model whose initialisers keep names and shapes, not their data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError
from compress.networks import describe
from compress.networks.layers import Activation, BatchNorm, Conv2d, Dropout, Flatten, Linear, Network, Pool2d
from compress.networks.module import evaluating

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

__all__ = ["OPSET", "Graph", "graph_of_model", "graph_of_module", "graph_of_network", "graph_of_zoo"]

OPSET = 17
"""Operator set of the graphs we build ourselves; a graph that comes from an ONNX file keeps its own."""

_IR_VERSION = 8


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX model without the data of its weights.

    Parameters
    ----------
    zoo : str or None
        Spelling of the network where it is ours (`networks.describe`), so that a file need only name it.
    skeleton : bytes
        Serialised ModelProto; the initialisers that are parameters have a name, a type and a shape, and no data.
    """

    zoo: str | None
    skeleton: bytes = field(repr=False)
    parameters: Mapping[str, tuple[int, ...]] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        shapes = {i.name: tuple(i.dims) for i in self._proto().graph.initializer if _is_hollow(i)}
        object.__setattr__(self, "parameters", MappingProxyType(shapes))

    def _proto(self) -> "onnx.ModelProto":
        import onnx

        return onnx.load_model_from_string(self.skeleton)

    def model(self, weights: Mapping[str, NDArray[np.float32]]) -> "onnx.ModelProto":
        """The complete ONNX model with `weights` (float32, by parameter name) as plain dense initialisers."""
        model = self._proto()
        for initializer in model.graph.initializer:
            if initializer.name in self.parameters:
                array = np.asarray(weights[initializer.name], dtype="<f4", order="C")
                if array.shape != tuple(initializer.dims):
                    raise ValueError(f"{initializer.name}: found {array.shape}, allowed {tuple(initializer.dims)}")
                initializer.raw_data = array.tobytes()
        return model


def _is_hollow(initializer: Any) -> bool:
    import onnx

    return bool(
        initializer.data_type == onnx.TensorProto.FLOAT
        and not initializer.HasField("raw_data")
        and not initializer.float_data
        and initializer.data_location == onnx.TensorProto.DEFAULT
    )


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


def graph_of_model(model: "onnx.ModelProto", parameters: Mapping[str, tuple[int, ...]]) -> Graph:
    """The graph of any ONNX model; the initialisers named in `parameters` (name to shape) lose their data.

    Every other initialiser is a constant and keeps its data. One of no elements has none to keep, and is told from a
    parameter of no elements by an empty `raw_data` field, which is there for a constant and missing for a parameter.

    Raises
    ------
    UnsupportedError
        A parameter is not a float32 initialiser of the model's main graph with that shape, or a constant has no data,
        or has it in another file.
    """
    import onnx

    hollow = onnx.ModelProto()
    hollow.CopyFrom(model)
    found = {initializer.name: initializer for initializer in hollow.graph.initializer}
    for name, shape in parameters.items():
        initializer = found.get(name)
        if initializer is None or initializer.data_type != onnx.TensorProto.FLOAT or tuple(initializer.dims) != shape:
            raise UnsupportedError(f"{name}: no float32 initialiser of shape {shape} in the exported graph")
        initializer.ClearField("raw_data")
        initializer.ClearField("float_data")
        initializer.ClearField("external_data")
        initializer.ClearField("data_location")
    for name, initializer in found.items():
        if name in parameters:
            continue
        if initializer.data_location == onnx.TensorProto.EXTERNAL:
            raise UnsupportedError(f"{name}: found data in another file, allowed a model loaded with its data")
        if _is_hollow(initializer):
            if 0 not in initializer.dims:
                raise UnsupportedError(f"{name}: found an initialiser without data that is no parameter")
            initializer.raw_data = b""
    return Graph(None, hollow.SerializeToString(deterministic=True))


def graph_of_module(module: "nn.Module", example: "Tensor") -> Graph:
    """The graph of a user's own torch module, traced by torch's exporter with a free batch axis.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode while it is traced. Its float32 parameters and buffers become the graph's parameters.
    example : tensor [batch, ...]
        One input; all its axes but the first are fixed in the graph.

    Raises
    ------
    UnsupportedError
        The module cannot be traced, or a parameter is not float32.
    """
    import logging
    import warnings

    import torch

    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, tensor in named.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise UnsupportedError(f"{name}: found a parameter of type {tensor.dtype}, allowed torch.float32")
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with evaluating(module), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter warns of its own deprecated internals
            program = torch.onnx.export(
                module,
                (example.detach().repeat(2, *[1] * (example.ndim - 1)),),
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=["input"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except Exception as error:  # whatever a foreign module's code raises while it is traced
        raise UnsupportedError(f"{type(module).__name__}: cannot be traced to ONNX ({_first_line(error)})") from error
    finally:
        logger.setLevel(level)
    if program is None:
        raise UnsupportedError(f"{type(module).__name__}: torch gave no ONNX program")
    model = program.model_proto
    _strip_traces_(model)
    shapes = {
        initializer.name: tuple(initializer.dims)
        for initializer in model.graph.initializer
        if initializer.name in named and named[initializer.name].dtype == torch.float32
    }
    return graph_of_model(model, shapes)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _strip_traces_(model: "onnx.ModelProto") -> None:
    """Remove what a tracer notes of itself, the machine and the source: it is no part of the network."""
    for field_name in ("producer_name", "producer_version", "metadata_props"):
        model.ClearField(field_name)
    model.ClearField("doc_string")
    model.graph.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")


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
