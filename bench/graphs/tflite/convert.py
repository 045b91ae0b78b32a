"""From a plain ONNX file to a .tflite file, written with the schema that LiteRT itself ships; no TensorFlow.

Values of four axes are kept as NHWC from input to output, as TFLite's kernels
want them; everything else keeps ONNX's order.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.graphs.numpy_function import clip_bounds, reduced_axes
from bench.graphs.read import Node, constant_input, read_graph, read_model
from bench.graphs.tflite.writer import TO_NHWC, Writer

__all__ = ["OPERATORS", "tflite_of_onnx"]

_TO_NCHW = (0, 3, 1, 2)


def _window(node: Node) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Strides, dilations and pads (top, left, bottom, right)."""
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise BenchError(f"{node.op}: found auto_pad {node.attributes['auto_pad']}, allowed NOTSET or VALID")
    pads = tuple(node.attributes.get("pads", (0, 0, 0, 0)))
    if len(pads) != 4:
        raise BenchError(f"{node.op}: found {len(pads) // 2} spatial axes, allowed 2")
    return tuple(node.attributes.get("strides", (1, 1))), tuple(node.attributes.get("dilations", (1, 1))), pads


def _padded(w: Writer, name: str, pads: tuple[int, int, int, int], fill: float) -> int:
    source = w.input(name)
    if not any(pads):
        return source
    top, left, bottom, right = pads
    batch, channels, rows, columns = w.shapes[name]
    amounts = w.constant(np.array([[0, 0], [top, bottom], [left, right], [0, 0]], dtype=np.int32))
    target = w.tensor((batch, rows + top + bottom, columns + left + right, channels))
    w.add("PADV2", [source, amounts, w.constant(np.array([fill], dtype=np.float32))], target, "PadV2Options")
    return target


def _constant(w: Writer, node: Node, index: int) -> NDArray[np.float32]:
    return np.asarray(constant_input(node, w.graph.constants, index), dtype=np.float32)


def _conv(w: Writer, node: Node) -> None:
    weight = _constant(w, node, 1)
    strides, dilations, pads = _window(node)
    channels, groups = w.shapes[node.inputs[0]][1], node.attributes.get("group", 1)
    out = weight.shape[0]
    bias = _constant(w, node, 2) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(out, dtype=np.float32)
    source = _padded(w, node.inputs[0], pads, 0.0)
    common = {
        "padding": w.schema.Padding.VALID,
        "strideH": strides[0],
        "strideW": strides[1],
        "dilationHFactor": dilations[0],
        "dilationWFactor": dilations[1],
    }
    if groups == 1:
        kernel = w.constant(weight.transpose(TO_NHWC))
        inputs = [source, kernel, w.constant(bias)]
        w.add("CONV_2D", inputs, w.output(node.outputs[0]), "Conv2DOptions", **common)
    elif groups == channels:
        kernel = w.constant(weight.transpose(1, 2, 3, 0))
        inputs = [source, kernel, w.constant(bias)]
        common["depthMultiplier"] = out // channels
        w.add("DEPTHWISE_CONV_2D", inputs, w.output(node.outputs[0]), "DepthwiseConv2DOptions", **common)
    else:
        raise BenchError(f"Conv: found {groups} groups of {channels} channels, allowed 1 or {channels}")


def _gemm(w: Writer, node: Node) -> None:
    attributes = node.attributes
    if attributes.get("transA", 0):
        raise BenchError("Gemm: found a transposed input, allowed x · W + b")
    weight = _constant(w, node, 1)
    weight = (weight if attributes.get("transB", 0) else weight.T) * np.float32(attributes.get("alpha", 1.0))
    bias = np.zeros(weight.shape[0], dtype=np.float32)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = bias + _constant(w, node, 2).reshape(-1) * np.float32(attributes.get("beta", 1.0))
    inputs = [w.input(node.inputs[0]), w.constant(weight), w.constant(bias)]
    w.add("FULLY_CONNECTED", inputs, w.output(node.outputs[0]), "FullyConnectedOptions")


def _matmul(w: Writer, node: Node) -> None:
    weight = _constant(w, node, 1)
    if weight.ndim != 2 or len(w.shapes[node.inputs[0]]) != 2:
        raise BenchError("MatMul: found more than two axes, allowed two")
    bias = w.constant(np.zeros(weight.shape[1], dtype=np.float32))
    inputs = [w.input(node.inputs[0]), w.constant(weight.T), bias]
    w.add("FULLY_CONNECTED", inputs, w.output(node.outputs[0]), "FullyConnectedOptions")


def _pool(w: Writer, node: Node) -> None:
    strides, dilations, pads = _window(node)
    rows, columns = node.attributes["kernel_shape"]
    largest = node.op == "MaxPool"
    if dilations != (1, 1) or node.attributes.get("ceil_mode", 0) or len(node.outputs) > 1:
        raise BenchError(f"{node.op}: found dilations, ceil_mode or a second output, allowed none of them")
    if any(pads) and not largest and not node.attributes.get("count_include_pad", 0):
        raise BenchError("AveragePool: found pads that are not counted, allowed none or counted ones")
    source = _padded(w, node.inputs[0], pads, float(np.finfo(np.float32).min) if largest else 0.0)
    kind = "MAX_POOL_2D" if largest else "AVERAGE_POOL_2D"
    w.add(
        kind,
        [source],
        w.output(node.outputs[0]),
        "Pool2DOptions",
        padding=w.schema.Padding.VALID,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=rows,
        filterWidth=columns,
    )


def _batch_norm(w: Writer, node: Node) -> None:
    scale, shift, mean, variance = (_constant(w, node, index) for index in range(1, 5))
    factor = scale / np.sqrt(variance + np.float32(node.attributes.get("epsilon", 1e-5)))
    shape = w.shapes[node.outputs[0]]
    middle = w.tensor([shape[axis] for axis in TO_NHWC] if len(shape) == 4 else shape)
    w.add("MUL", [w.input(node.inputs[0]), w.constant(factor)], middle, "MulOptions")
    offset = w.constant(shift - mean * factor)
    w.add("ADD", [middle, offset], w.output(node.outputs[0]), "AddOptions")


def _elementwise(kind: str, options: str | None) -> Callable[[Writer, Node], None]:
    def emit(w: Writer, node: Node) -> None:
        rank = len(w.shapes[node.outputs[0]])
        inputs = []
        for name in node.inputs:
            array = w.graph.constants.get(name)
            if array is None:
                inputs.append(w.input(name))
            else:
                array = np.asarray(array, dtype=np.float32).reshape((1,) * (rank - array.ndim) + array.shape)
                inputs.append(w.constant(array.transpose(TO_NHWC) if rank == 4 else array))
        w.add(kind, inputs, w.output(node.outputs[0]), options)

    return emit


def _activation(kind: str) -> Callable[[Writer, Node], None]:
    def emit(w: Writer, node: Node) -> None:
        w.add(kind, [w.input(node.inputs[0])], w.output(node.outputs[0]))

    return emit


def _leaky_relu(w: Writer, node: Node) -> None:
    slope = node.attributes.get("alpha", 0.01)
    w.add("LEAKY_RELU", [w.input(node.inputs[0])], w.output(node.outputs[0]), "LeakyReluOptions", alpha=slope)


def _softmax(w: Writer, node: Node) -> None:
    shape = w.shapes[node.inputs[0]]
    if len(shape) == 4 or node.attributes.get("axis", -1) not in (-1, len(shape) - 1):
        raise BenchError(f"{node.op}: found axis {node.attributes.get('axis', -1)} of {shape}, allowed the last of two")
    source, target = w.input(node.inputs[0]), w.output(node.outputs[0])
    if node.op == "Softmax":
        w.add("SOFTMAX", [source], target, "SoftmaxOptions", beta=1.0)
    else:
        w.add("LOG_SOFTMAX", [source], target, "LogSoftmaxOptions")


def _global_average(w: Writer, node: Node) -> None:
    axes = w.constant(np.array([1, 2], dtype=np.int32))
    w.add("MEAN", [w.input(node.inputs[0]), axes], w.output(node.outputs[0]), "ReducerOptions", keepDims=True)


def _transposed(w: Writer, source: int, shape: Sequence[int], order: tuple[int, ...]) -> int:
    target = w.tensor([shape[axis] for axis in order])
    w.add("TRANSPOSE", [source, w.constant(np.array(order, dtype=np.int32))], target, "TransposeOptions")
    return target


def _clip(w: Writer, node: Node) -> None:
    low, high = clip_bounds(node, w.graph.constants)
    source = w.input(node.inputs[0])
    if (low, high) == (0, 6):
        w.add("RELU6", [source], w.output(node.outputs[0]))
        return
    target = w.output(node.outputs[0])
    middle = w.tensor(w.tensors[target].shape)
    w.add("MAXIMUM", [source, w.constant(np.array([low], dtype=np.float32))], middle, "MaximumMinimumOptions")
    w.add("MINIMUM", [middle, w.constant(np.array([high], dtype=np.float32))], target, "MaximumMinimumOptions")


def _reduce_mean(w: Writer, node: Node) -> None:
    rank, keep = len(w.shapes[node.inputs[0]]), bool(node.attributes.get("keepdims", 1))
    axes = sorted(axis % rank for axis in reduced_axes(node, w.graph.constants))
    if rank == 4 and not keep and axes != [2, 3]:
        raise BenchError(f"ReduceMean: found axes {axes} that are dropped, allowed [2, 3] or keepdims")
    places = [TO_NHWC.index(axis) if rank == 4 else axis for axis in axes]
    inputs = [w.input(node.inputs[0]), w.constant(np.array(places, dtype=np.int32))]
    w.add("MEAN", inputs, w.output(node.outputs[0]), "ReducerOptions", keepDims=keep)


def _reshape(w: Writer, node: Node) -> None:
    """Flatten and Reshape: ONNX's order before, NHWC again after; a transpose only where it moves something."""
    before, after = w.shapes[node.inputs[0]], w.shapes[node.outputs[0]]
    source = w.input(node.inputs[0])
    if len(before) == 4 and before[1] > 1 and before[2] * before[3] > 1:
        source = _transposed(w, source, [before[axis] for axis in TO_NHWC], _TO_NCHW)
    shape = w.constant(np.array(after, dtype=np.int32))
    if len(after) == 4:
        middle = w.tensor(after)
        w.add("RESHAPE", [source, shape], middle, "ReshapeOptions", newShape=list(after))
        order = w.constant(np.array(TO_NHWC, dtype=np.int32))
        w.add("TRANSPOSE", [middle, order], w.output(node.outputs[0]), "TransposeOptions")
    else:
        w.add("RESHAPE", [source, shape], w.output(node.outputs[0]), "ReshapeOptions", newShape=list(after))


def _concat(w: Writer, node: Node) -> None:
    rank = len(w.shapes[node.outputs[0]])
    axis = node.attributes["axis"] % rank
    axis = TO_NHWC.index(axis) if rank == 4 else axis
    inputs = [w.input(name) for name in node.inputs]
    w.add("CONCATENATION", inputs, w.output(node.outputs[0]), "ConcatenationOptions", axis=axis)


def _identity(w: Writer, node: Node) -> None:
    w.values[node.outputs[0]] = w.input(node.inputs[0])


OPERATORS: Mapping[str, Callable[[Writer, Node], None]] = MappingProxyType(
    {
        "Add": _elementwise("ADD", "AddOptions"),
        "AveragePool": _pool,
        "BatchNormalization": _batch_norm,
        "Clip": _clip,
        "Concat": _concat,
        "Conv": _conv,
        "Div": _elementwise("DIV", "DivOptions"),
        "Dropout": _identity,
        "Flatten": _reshape,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_average,
        "Identity": _identity,
        "LeakyRelu": _leaky_relu,
        "LogSoftmax": _softmax,
        "MatMul": _matmul,
        "MaxPool": _pool,
        "Mul": _elementwise("MUL", "MulOptions"),
        "ReduceMean": _reduce_mean,
        "Relu": _activation("RELU"),
        "Reshape": _reshape,
        "Sigmoid": _activation("LOGISTIC"),
        "Softmax": _softmax,
        "Sub": _elementwise("SUB", "SubOptions"),
        "Tanh": _activation("TANH"),
    }
)
"""ONNX operator → how it is written."""

_FUSED = ("Conv", "Gemm", "MatMul", "Add", "MaxPool", "AveragePool")
"""Operators whose TFLite form takes an activation with it, so that it costs no pass over memory of its own."""


def _fused_activation(w: Writer, node: Node) -> Any:
    """The activation that the operator before can take over, or None."""
    kinds = w.schema.ActivationFunctionType
    if node.op == "Relu":
        return kinds.RELU
    if node.op == "Clip" and clip_bounds(node, w.graph.constants) == (0, 6):
        return kinds.RELU6
    return None


def tflite_of_onnx(path: Path) -> bytes:
    """Convert a plain ONNX file with a fixed batch size.

    Parameters
    ----------
    path : Path
        As `bench.graphs.read.plain_file` writes it.

    Returns
    -------
    bytes
        A float32 .tflite file; input and output of four axes are NHWC. A Relu, or a Clip to 0 and 6, whose input
        nobody else reads becomes the activation of the operator before it.

    Raises
    ------
    BenchError
        An operator, or a use of one, that is not in OPERATORS.
    """
    import onnx

    graph = read_graph(path)
    inferred = onnx.shape_inference.infer_shapes(read_model(path), strict_mode=True)
    shapes = {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
        for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    }
    readers: dict[str, int] = {graph.output: 1}
    for node in graph.nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    writer = Writer(graph, shapes)
    writer.output(graph.input)
    makers = {node.outputs[0]: node.op for node in graph.nodes}
    last: dict[str, Any] = {}
    for node in graph.nodes:
        if node.op not in OPERATORS:
            raise BenchError(f"operator: found {node.op}, allowed {', '.join(OPERATORS)}")
        source = node.inputs[0]
        fused = _fused_activation(writer, node) if readers[source] == 1 and makers.get(source) in _FUSED else None
        if fused is not None:
            last[source].builtinOptions.fusedActivationFunction = fused
            writer.values[node.outputs[0]] = writer.values[source]
        else:
            OPERATORS[node.op](writer, node)
            last[node.outputs[0]] = writer.operators[-1] if writer.operators else None
    return writer.dumps()
