"""From a plain graph to a torch module: straight-line code made by torch.fx, one call an operator."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import BenchError
from bench.graphs.numpy_function import clip_bounds, dense_of_groups, reduced_axes
from bench.graphs.read import Node, PlainGraph, constant_input

if TYPE_CHECKING:
    import torch

__all__ = ["OPERATORS", "Builder", "torch_module"]


class Builder:
    """The module while it is built: values by ONNX name, the fx graph, and a root that holds the constants.

    Parameters
    ----------
    graph : PlainGraph
    sparse : bool
        Weights of Conv, Gemm and MatMul become CSR matrices, a convolution a product with unfolded patches.
    """

    def __init__(self, graph: PlainGraph, *, sparse: bool) -> None:
        import torch

        self.plain = graph
        self.sparse = sparse
        self.root = torch.nn.Module()
        self.fx = torch.fx.Graph()
        self.values: dict[str, Any] = {graph.input: self.fx.placeholder("input")}

    def value(self, name: str) -> Any:
        """The fx node of an input; a constant becomes a buffer of the root when first used."""
        import torch

        if name not in self.values:
            if name not in self.plain.constants:
                raise BenchError(f"{name}: found no operator that makes this value, allowed a sorted graph")
            self.values[name] = self.buffer(torch.from_numpy(np.array(self.plain.constants[name])))
        return self.values[name]

    def optional(self, node: Node, index: int) -> Any:
        """The fx node of an input that may be left out, else None."""
        return self.value(node.inputs[index]) if index < len(node.inputs) and node.inputs[index] else None

    def constant(self, node: Node, index: int) -> Any:
        """An input that has to be a constant, as an array."""
        return constant_input(node, self.plain.constants, index)

    def buffer(self, tensor: "torch.Tensor") -> Any:
        """Keep a tensor on the root and refer to it."""
        name = f"constant_{len(list(self.root.buffers()))}"
        self.root.register_buffer(name, tensor)
        return self.fx.get_attr(name)

    def call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Append a call."""
        return self.fx.call_function(function, arguments, keywords)


def _pairs(pads: tuple[int, ...]) -> tuple[list[int], list[int]]:
    half = len(pads) // 2
    return list(pads[:half]), list(pads[half:])


def _padding(b: Builder, node: Node, x: Any, rank: int, fill: float) -> tuple[Any, list[int]]:
    """Symmetric padding is left to the operator; any other is made explicit, with `fill`."""
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise BenchError(f"{node.op}: found auto_pad {node.attributes['auto_pad']}, allowed NOTSET or VALID")
    before, after = _pairs(node.attributes.get("pads", (0,) * (2 * rank)))
    if before == after:
        return x, before
    import torch

    flat = [amount for axis in reversed(range(rank)) for amount in (before[axis], after[axis])]
    return b.call(torch.nn.functional.pad, x, flat, "constant", fill), [0] * rank


def _conv(b: Builder, node: Node) -> Any:
    import torch

    weight = b.constant(node, 1)
    rank = weight.ndim - 2
    functions = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}
    x, pads = _padding(b, node, b.value(node.inputs[0]), rank, 0.0)
    strides = list(node.attributes.get("strides", (1,) * rank))
    dilations = list(node.attributes.get("dilations", (1,) * rank))
    groups = node.attributes.get("group", 1)
    if b.sparse:
        from bench.graphs.csr import conv2d_csr, to_csr

        if rank != 2:
            raise BenchError(f"Conv: found {rank} spatial axes, allowed 2 for CSR weights")
        matrix = b.buffer(to_csr(dense_of_groups(weight, groups)))
        kernel = list(weight.shape[2:])
        return b.call(conv2d_csr, x, matrix, b.optional(node, 2), kernel, strides, pads, dilations)
    return b.call(functions[rank], x, b.value(node.inputs[1]), b.optional(node, 2), strides, pads, dilations, groups)


def _linear(b: Builder, x: Any, weight: Any, bias: Any) -> Any:
    """A product with `weight` (out, in) as an array."""
    import torch

    if b.sparse:
        from bench.graphs.csr import linear_csr, to_csr

        return b.call(linear_csr, x, b.buffer(to_csr(weight)), bias)
    return b.call(torch.nn.functional.linear, x, b.buffer(torch.from_numpy(np.array(weight, order="C"))), bias)


def _gemm(b: Builder, node: Node) -> Any:
    import torch

    attributes = node.attributes
    if attributes.get("transA", 0) or node.inputs[1] not in b.plain.constants:
        raise BenchError("Gemm: found a transposed input or a computed weight, allowed x · W + b with constant W")
    weight = b.plain.constants[node.inputs[1]]
    weight = (weight if attributes.get("transB", 0) else weight.T) * np.float32(attributes.get("alpha", 1.0))
    bias = None
    if len(node.inputs) > 2 and node.inputs[2]:
        value = b.constant(node, 2) * np.float32(attributes.get("beta", 1.0))
        bias = b.buffer(torch.from_numpy(np.broadcast_to(value.reshape(-1), (weight.shape[0],)).copy()))
    return _linear(b, b.value(node.inputs[0]), weight, bias)


def _matmul(b: Builder, node: Node) -> Any:
    import torch

    if node.inputs[1] in b.plain.constants and b.plain.constants[node.inputs[1]].ndim == 2:
        return _linear(b, b.value(node.inputs[0]), b.plain.constants[node.inputs[1]].T, None)
    return b.call(torch.matmul, b.value(node.inputs[0]), b.value(node.inputs[1]))


def _batch_norm(b: Builder, node: Node) -> Any:
    import torch

    x, scale, shift, mean, variance = (b.value(name) for name in node.inputs)
    epsilon = node.attributes.get("epsilon", 1e-5)
    return b.call(torch.nn.functional.batch_norm, x, mean, variance, scale, shift, False, 0.0, epsilon)


def _pool(b: Builder, node: Node) -> Any:
    import torch

    kernel = list(node.attributes["kernel_shape"])
    rank = len(kernel)
    if rank != 2:
        raise BenchError(f"{node.op}: found {rank} spatial axes, allowed 2")
    if len(node.outputs) > 1:
        raise BenchError(f"{node.op}: found {len(node.outputs)} outputs, allowed 1")
    strides = list(node.attributes.get("strides", (1,) * rank))
    dilations = list(node.attributes.get("dilations", (1,) * rank))
    ceil = bool(node.attributes.get("ceil_mode", 0))
    before, after = _pairs(node.attributes.get("pads", (0,) * (2 * rank)))
    x = b.value(node.inputs[0])
    if node.op == "MaxPool":
        x, pads = _padding(b, node, x, rank, float("-inf"))
        return b.call(torch.nn.functional.max_pool2d, x, kernel, strides, pads, dilations, ceil)
    counted = bool(node.attributes.get("count_include_pad", 0))
    if before != after and not counted:
        raise BenchError(f"AveragePool: found uneven pads {before + after} that are not counted, allowed even ones")
    if dilations != [1, 1]:
        raise BenchError(f"AveragePool: found dilations {dilations}, allowed [1, 1]")
    x, pads = _padding(b, node, x, rank, 0.0)
    return b.call(torch.nn.functional.avg_pool2d, x, kernel, strides, pads, ceil, counted)


def _clip(b: Builder, node: Node) -> Any:
    import torch

    low, high = clip_bounds(node, b.plain.constants)
    return b.call(torch.clamp, b.value(node.inputs[0]), low, high)


def _reshape(b: Builder, node: Node) -> Any:
    import torch

    shape = [int(value) for value in b.constant(node, 1)]
    if 0 in shape:
        raise BenchError(f"Reshape: found a copied axis in {shape}, allowed sizes and one -1")
    return b.call(torch.reshape, b.value(node.inputs[0]), shape)


def _flatten(b: Builder, node: Node) -> Any:
    import torch

    if node.attributes.get("axis", 1) != 1:
        raise BenchError(f"Flatten: found axis {node.attributes['axis']}, allowed 1")
    return b.call(torch.flatten, b.value(node.inputs[0]), 1)


def _reduce_mean(b: Builder, node: Node) -> Any:
    import torch

    keep = bool(node.attributes.get("keepdims", 1))
    return b.call(torch.mean, b.value(node.inputs[0]), list(reduced_axes(node, b.plain.constants)), keep)


def _global_average(b: Builder, node: Node) -> Any:
    import torch

    rank = len(b.plain.input_shape) - 2
    return b.call(torch.mean, b.value(node.inputs[0]), list(range(-rank, 0)), True)


def _squeeze(b: Builder, node: Node) -> Any:
    import torch

    return b.call(torch.squeeze, b.value(node.inputs[0]), list(reduced_axes(node, b.plain.constants)))


def _concat(b: Builder, node: Node) -> Any:
    import torch

    return b.call(torch.cat, [b.value(name) for name in node.inputs], node.attributes["axis"])


def _transpose(b: Builder, node: Node) -> Any:
    import torch

    return b.call(torch.permute, b.value(node.inputs[0]), list(node.attributes["perm"]))


def _leaky_relu(b: Builder, node: Node) -> Any:
    import torch

    slope = node.attributes.get("alpha", 0.01)
    return b.call(torch.nn.functional.leaky_relu, b.value(node.inputs[0]), slope)


def _softmax(b: Builder, node: Node) -> Any:
    import torch

    function = torch.softmax if node.op == "Softmax" else torch.log_softmax
    return b.call(function, b.value(node.inputs[0]), node.attributes.get("axis", -1))


def _named(name: str) -> Callable[[Builder, Node], Any]:
    """An operator that is one function of torch over all its inputs."""

    def emit(b: Builder, node: Node) -> Any:
        import torch

        return b.call(getattr(torch, name), *(b.value(item) for item in node.inputs))

    return emit


def _identity(b: Builder, node: Node) -> Any:
    return b.value(node.inputs[0])


OPERATORS: Mapping[str, Callable[[Builder, Node], Any]] = MappingProxyType(
    {
        "Add": _named("add"),
        "AveragePool": _pool,
        "BatchNormalization": _batch_norm,
        "Clip": _clip,
        "Concat": _concat,
        "Conv": _conv,
        "Div": _named("div"),
        "Dropout": _identity,
        "Flatten": _flatten,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_average,
        "Identity": _identity,
        "LeakyRelu": _leaky_relu,
        "LogSoftmax": _softmax,
        "MatMul": _matmul,
        "MaxPool": _pool,
        "Mul": _named("mul"),
        "ReduceMean": _reduce_mean,
        "Relu": _named("relu"),
        "Reshape": _reshape,
        "Sigmoid": _named("sigmoid"),
        "Softmax": _softmax,
        "Squeeze": _squeeze,
        "Sub": _named("sub"),
        "Tanh": _named("tanh"),
        "Transpose": _transpose,
    }
)
"""ONNX operator → how its call is appended."""


def torch_module(graph: PlainGraph, *, sparse: bool = False) -> "torch.nn.Module":
    """Build a module of plain torch calls from a graph, weights included.

    Parameters
    ----------
    graph : PlainGraph
    sparse : bool
        Store the weights of Conv, Gemm and MatMul as CSR.

    Raises
    ------
    BenchError
        An operator, or a use of one, that is not in OPERATORS.
    """
    import torch

    builder = Builder(graph, sparse=sparse)
    for node in graph.nodes:
        if node.op not in OPERATORS:
            raise BenchError(f"operator: found {node.op}, allowed {', '.join(OPERATORS)}")
        builder.values[node.outputs[0]] = OPERATORS[node.op](builder, node)
    builder.fx.output(builder.value(graph.output))
    return torch.fx.GraphModule(builder.root, builder.fx).eval()
