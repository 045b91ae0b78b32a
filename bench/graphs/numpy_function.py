"""From a plain graph to one NumPy function, with weights in any matrix type that knows `@`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.graphs.read import Node, PlainGraph, constant_input

__all__ = ["OPERATORS", "clip_bounds", "dense_of_groups", "numpy_function", "reduced_axes", "unfold", "windows"]

Array = NDArray[Any]
Matrix = Callable[[Array], Any]
Step = Callable[..., Any]


def dense_of_groups(weight: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
    """A convolution's weight as one matrix (out, in · kernel), zero between the groups.

    >>> dense_of_groups(np.array([[[[1.0]]], [[[2.0]]]], dtype=np.float32), 2)
    array([[1., 0.],
           [0., 2.]], dtype=float32)
    """
    out, inner = weight.shape[0], int(np.prod(weight.shape[1:]))
    matrix = np.zeros((out, groups * inner), dtype=np.float32)
    rows = out // groups
    for group in range(groups):
        part = slice(group * rows, (group + 1) * rows)
        matrix[part, group * inner : (group + 1) * inner] = weight[part].reshape(rows, inner)
    return matrix


def windows(x: Array, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]) -> Array:
    """A view of every window: (batch, channels, rows, columns, kernel rows, kernel columns)."""
    span = tuple(dilation * (size - 1) + 1 for size, dilation in zip(kernel, dilations, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return view[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]


def unfold(x: Array, kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]) -> Array:
    """The patches of a convolution as columns: (channels · kernel, batch · rows · columns)."""
    view = windows(x, kernel, strides, dilations)
    channels, size = x.shape[1], kernel[0] * kernel[1]
    return np.ascontiguousarray(view.transpose(1, 4, 5, 0, 2, 3)).reshape(channels * size, -1)


def _spatial(node: Node) -> tuple[tuple[int, int], tuple[int, int], tuple[tuple[int, int], ...]]:
    """Strides, dilations and the padding of both spatial axes as np.pad wants it."""
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise BenchError(f"{node.op}: found auto_pad {node.attributes['auto_pad']}, allowed NOTSET or VALID")
    pads = node.attributes.get("pads", (0, 0, 0, 0))
    if len(pads) != 4:
        raise BenchError(f"{node.op}: found {len(pads) // 2} spatial axes, allowed 2")
    around = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    return node.attributes.get("strides", (1, 1)), node.attributes.get("dilations", (1, 1)), around


def _pad(x: Array, around: tuple[tuple[int, int], ...], fill: float) -> Array:
    return x if not any(map(any, around)) else np.pad(x, around, constant_values=fill)


def _conv(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    weight = constant_input(node, constants, 1)
    strides, dilations, around = _spatial(node)
    if weight.ndim != 4:
        raise BenchError(f"Conv: found {weight.ndim - 2} spatial axes, allowed 2")
    kernel = (weight.shape[2], weight.shape[3])
    product = matrix(dense_of_groups(weight, node.attributes.get("group", 1)))

    def step(x: Array, _: Array, bias: Array | None = None) -> Any:
        x = _pad(x, around, 0.0)
        rows, columns = (
            (x.shape[2 + axis] - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1 for axis in (0, 1)
        )
        y = (product @ unfold(x, kernel, strides, dilations)).reshape(-1, x.shape[0], rows, columns)
        y = y.transpose(1, 0, 2, 3)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)

    return step


def _gemm(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    attributes = node.attributes
    if attributes.get("transA", 0):
        raise BenchError("Gemm: found a transposed input, allowed x · W + b")
    weight = constant_input(node, constants, 1)
    weight = (weight if attributes.get("transB", 0) else weight.T) * np.float32(attributes.get("alpha", 1.0))
    product, beta = matrix(weight), np.float32(attributes.get("beta", 1.0))

    def step(x: Array, _: Array, bias: Array | None = None) -> Any:
        y = (product @ x.T).T
        return y if bias is None else y + beta * bias

    return step


def _matmul(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    weight = constants.get(node.inputs[1])
    if weight is None or weight.ndim != 2:
        return np.matmul
    product, columns = matrix(weight.T), weight.shape[1]

    def step(x: Array, _: Array) -> Array:
        y: Array = (product @ x.reshape(-1, x.shape[-1]).T).T
        return y.reshape(*x.shape[:-1], columns)

    return step


def _pool(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    strides, dilations, around = _spatial(node)
    kernel = tuple(node.attributes["kernel_shape"])
    if node.attributes.get("ceil_mode", 0) or len(node.outputs) > 1:
        raise BenchError(f"{node.op}: found ceil_mode or a second output, allowed neither")
    counted = bool(node.attributes.get("count_include_pad", 0))

    def largest(x: Array) -> Any:
        return windows(_pad(x, around, -np.inf), kernel, strides, dilations).max(axis=(4, 5))

    def average(x: Array) -> Any:
        total = windows(_pad(x, around, 0.0), kernel, strides, dilations).sum(axis=(4, 5))
        if counted or not any(map(any, around)):
            return total / np.float32(kernel[0] * kernel[1])
        inside = _pad(np.ones_like(x[:1, :1]), around, 0.0)
        return total / windows(inside, kernel, strides, dilations).sum(axis=(4, 5))

    return largest if node.op == "MaxPool" else average


def _batch_norm(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    scale, shift, mean, variance = (constant_input(node, constants, index) for index in range(1, 5))
    factor = scale / np.sqrt(variance + np.float32(node.attributes.get("epsilon", 1e-5)))
    offset = shift - mean * factor

    def step(x: Array, *_: Array) -> Any:
        axes = (1, -1, *(1,) * (x.ndim - 2))
        return x * factor.reshape(axes) + offset.reshape(axes)

    return step


def _softmax(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    axis = node.attributes.get("axis", -1)

    def step(x: Array) -> Any:
        shifted = x - x.max(axis=axis, keepdims=True)
        total = np.exp(shifted).sum(axis=axis, keepdims=True)
        return np.exp(shifted) / total if node.op == "Softmax" else shifted - np.log(total)

    return step


def _flatten(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    if node.attributes.get("axis", 1) != 1:
        raise BenchError(f"Flatten: found axis {node.attributes['axis']}, allowed 1")
    return lambda x: x.reshape(x.shape[0], -1)


def _reshape(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    shape = tuple(int(value) for value in constant_input(node, constants, 1))
    if 0 in shape:
        raise BenchError(f"Reshape: found a copied axis in {list(shape)}, allowed sizes and one -1")
    return lambda x, _: x.reshape(shape)


def _transpose(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    return lambda x: x.transpose(node.attributes["perm"])


def _concat(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    return lambda *arrays: np.concatenate(arrays, axis=node.attributes["axis"])


def _leaky_relu(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    slope = np.float32(node.attributes.get("alpha", 0.01))
    return lambda x: np.where(x < 0, slope * x, x)


def _global_average(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    return lambda x: x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)


def _clip(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    low, high = clip_bounds(node, constants)
    return lambda x, *_: np.clip(x, low, high)


def clip_bounds(node: Node, constants: Mapping[str, Array]) -> tuple[float, float]:
    """The bounds of a Clip, from its attributes (before opset 11) or its constant inputs; infinite where left out."""
    bounds = []
    for index, name, unbounded in ((1, "min", -np.inf), (2, "max", np.inf)):
        if index < len(node.inputs) and node.inputs[index]:
            bounds.append(float(constant_input(node, constants, index).reshape(-1)[0]))
        else:
            bounds.append(float(node.attributes.get(name, unbounded)))
    return bounds[0], bounds[1]


def _reduce_mean(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    axes, keep = reduced_axes(node, constants), bool(node.attributes.get("keepdims", 1))
    return lambda x, *_: x.mean(axis=axes, keepdims=keep)


def reduced_axes(node: Node, constants: Mapping[str, Array]) -> tuple[int, ...]:
    """The axes of a reduction, from its attribute (before opset 18) or its constant input."""
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        axes = constant_input(node, constants, 1)
    if axes is None:
        raise BenchError(f"{node.op}: found no axes, allowed a constant list")
    return tuple(int(axis) for axis in axes)


def _always(step: Step) -> Callable[[Node, Mapping[str, Array], Matrix], Step]:
    return lambda node, constants, matrix: step


def _identity(node: Node, constants: Mapping[str, Array], matrix: Matrix) -> Step:
    return lambda x, *_: x


def _relu(x: Array) -> Any:
    return np.maximum(x, np.float32(0))


def _sigmoid(x: Array) -> Any:
    half = np.float32(0.5)
    return half * np.tanh(half * x) + half


OPERATORS: Mapping[str, Callable[[Node, Mapping[str, Array], Matrix], Step]] = MappingProxyType(
    {
        "Add": _always(np.add),
        "AveragePool": _pool,
        "BatchNormalization": _batch_norm,
        "Clip": _clip,
        "Concat": _concat,
        "Conv": _conv,
        "Div": _always(np.divide),
        "Dropout": _identity,
        "Flatten": _flatten,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_average,
        "Identity": _identity,
        "LeakyRelu": _leaky_relu,
        "LogSoftmax": _softmax,
        "MatMul": _matmul,
        "MaxPool": _pool,
        "Mul": _always(np.multiply),
        "ReduceMean": _reduce_mean,
        "Relu": _always(_relu),
        "Reshape": _reshape,
        "Sigmoid": _always(_sigmoid),
        "Softmax": _softmax,
        "Sub": _always(np.subtract),
        "Tanh": _always(np.tanh),
        "Transpose": _transpose,
    }
)
"""ONNX operator → a function of its inputs, made once from its attributes and constants."""


def numpy_function(graph: PlainGraph, matrix: Matrix) -> Callable[[Array], Array]:
    """One function from input to output.

    Parameters
    ----------
    graph : PlainGraph
    matrix : callable
        Takes a dense float32 weight (out, in) and gives what multiplies from the left, for example
        `scipy.sparse.csr_matrix`.

    Raises
    ------
    BenchError
        An operator, or a use of one, that is not in OPERATORS.
    """
    steps = []
    for node in graph.nodes:
        if node.op not in OPERATORS:
            raise BenchError(f"operator: found {node.op}, allowed {', '.join(OPERATORS)}")
        names = tuple(name for name in node.inputs if name)
        steps.append((OPERATORS[node.op](node, graph.constants, matrix), names, node.outputs[0]))

    def run(x: Array) -> Array:
        values = dict(graph.constants)
        values[graph.input] = x
        for step, names, output in steps:
            values[output] = step(*(values[name] for name in names))
        return values[graph.output]

    return run
