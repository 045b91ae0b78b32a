"""From nodes to steps: each operator read into the step that computes it, on static shapes; no fusion yet."""

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError
from export.c import windows
from export.c.fuse import fuse
from export.c.reader import Network, Node
from export.c.steps import (
    Activation,
    Add,
    Affine,
    Concat,
    Convolution,
    Linear,
    Pointwise,
    Pool,
    Program,
    Softmax,
    Step,
    Transpose,
)

__all__ = ["OPERATORS", "plan"]

Shape = tuple[int, ...]


class _Reading:
    """What is known so far: shapes of the values, names that stand for others, steps in order."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.shapes: dict[str, Shape] = {network.input_name: network.input_shape}
        self.alias: dict[str, str] = {}
        self.steps: list[Step] = []

    def value(self, node: Node, index: int = 0) -> tuple[str, Shape]:
        name = node.inputs[index]
        if name in self.network.constants:
            raise _refuse(node, f"input {index} is constant, allowed one that depends on the network's input")
        return self.alias.get(name, name), self.shapes[name]

    def constant(self, node: Node, index: int, what: str) -> NDArray[Any] | None:
        if index >= len(node.inputs) or node.inputs[index] == "":
            return None
        found = self.network.constants.get(node.inputs[index])
        if found is None:
            raise _refuse(node, f"{what} depends on the network's input, allowed a constant")
        return found

    def floats(self, node: Node, index: int, what: str) -> NDArray[np.float32]:
        found = self.constant(node, index, what)
        if found is None or found.dtype != np.float32:
            raise _refuse(node, f"{what} is {'missing' if found is None else found.dtype}, allowed float32")
        if not np.isfinite(found).all():
            raise _refuse(node, f"{what} holds NaN or infinity, allowed finite values")
        return found

    def rename(self, node: Node, shape: Shape) -> None:
        name, before = self.value(node)
        if prod(before) != prod(shape):
            raise _refuse(node, f"found shape {before} made into {shape}, allowed the same number of elements")
        self.alias[node.outputs[0]] = name
        self.shapes[node.outputs[0]] = shape

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self.shapes[step.output] = step.shape


def _refuse(node: Node, message: str) -> UnsupportedError:
    return UnsupportedError(f"{node.name}: operator {node.op}: {message}")


def _axis(node: Node, axis: int, rank: int) -> int:
    """An axis behind the batch axis, as an index into the shape without it."""
    axis = axis + rank + 1 if axis < 0 else axis
    if not 1 <= axis <= rank:
        raise _refuse(node, f"axis {axis}, allowed 1 to {rank}: the batch axis stays")
    return axis - 1


def _convolution(reading: _Reading, node: Node) -> None:
    name, shape = reading.value(node)
    weight = reading.floats(node, 1, "weight")
    bias = (
        reading.floats(node, 2, "bias")
        if len(node.inputs) > 2 and node.inputs[2]
        else np.zeros(len(weight), np.float32)
    )
    if len(shape) not in (2, 3):
        raise _refuse(node, f"input of {len(shape) - 1} spatial axes, allowed 1 or 2")
    spatial = len(shape) - 1
    groups = int(node.attributes.get("group", 1))
    if shape[0] != weight.shape[1] * groups:
        raise _refuse(node, f"input of {shape[0]} channels, allowed {weight.shape[1] * groups}")
    height, width = (1, *shape[1:])[-2:]
    kernel, strides, dilations, pads = windows.geometry(node, weight.shape[2:], (height, width)[-spatial:])
    out = tuple(
        (size + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, size in enumerate((height, width))
    )
    if min(out) < 1:
        raise _refuse(node, f"found an empty result {out}, allowed at least one position")
    reading.add(
        Convolution(
            name=node.name,
            inputs=(name,),
            output=node.outputs[0],
            shape=(len(weight), *out[-spatial:]),
            weight=weight.reshape(*weight.shape[:2], *kernel),
            scale=None,
            bias=bias,
            inside=(shape[0], height, width),
            outside=(len(weight), out[0], out[1]),
            strides=strides,
            pads=pads,
            dilations=dilations,
            groups=groups,
            pool=None,
            activation=None,
        )
    )


def _gemm(reading: _Reading, node: Node) -> None:
    name, shape = reading.value(node)
    attributes = node.attributes
    weight = reading.floats(node, 1, "weight")
    if attributes.get("transA", 0) or len(shape) != 1:
        raise _refuse(node, f"transposed input or input of shape {shape}, allowed a plain vector per image")
    weight = weight if attributes.get("transB", 0) else weight.T
    weight = (np.float32(attributes.get("alpha", 1.0)) * weight).astype(np.float32)
    bias = np.zeros(len(weight), np.float32)
    if len(node.inputs) > 2 and node.inputs[2]:
        found = reading.floats(node, 2, "bias")
        bias = np.broadcast_to(np.float32(attributes.get("beta", 1.0)) * found, (1, len(weight)))[0].astype(np.float32)
    _linear(reading, node, name, shape, weight, bias)


def _matmul(reading: _Reading, node: Node) -> None:
    name, shape = reading.value(node)
    weight = reading.floats(node, 1, "second factor")
    if weight.ndim != 2:
        raise _refuse(node, f"second factor of {weight.ndim} axes, allowed 2")
    _linear(reading, node, name, shape, np.ascontiguousarray(weight.T), np.zeros(weight.shape[1], np.float32))


def _linear(
    reading: _Reading, node: Node, name: str, shape: Shape, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> None:
    if shape[-1] != weight.shape[1]:
        raise _refuse(node, f"input of {shape[-1]} features, allowed {weight.shape[1]}")
    reading.add(
        Linear(
            name=node.name,
            inputs=(name,),
            output=node.outputs[0],
            shape=(*shape[:-1], len(weight)),
            weight=np.ascontiguousarray(weight),
            scale=None,
            bias=bias,
            rows=prod(shape[:-1]),
            activation=None,
        )
    )


def _batch_normalization(reading: _Reading, node: Node) -> None:
    name, shape = reading.value(node)
    if node.attributes.get("training_mode", 0) or len([o for o in node.outputs if o]) > 1:
        raise _refuse(node, "training mode, allowed inference")
    scale, bias, mean, variance = (
        reading.floats(node, 1 + i, what).astype(np.float64)
        for i, what in enumerate(("scale", "bias", "mean", "variance"))
    )
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    reading.add(
        Affine(
            name=node.name,
            inputs=(name,),
            output=node.outputs[0],
            shape=shape,
            scale=factor.astype(np.float32),
            bias=(bias - mean * factor).astype(np.float32),
            plane=prod(shape[1:]),
        )
    )


def _pointwise(kind: str, alpha: float = 0.0) -> Callable[[_Reading, Node], None]:
    def build(reading: _Reading, node: Node) -> None:
        name, shape = reading.value(node)
        activation = Activation(kind, float(node.attributes.get("alpha", alpha)))
        reading.add(
            Pointwise(name=node.name, inputs=(name,), output=node.outputs[0], shape=shape, activation=activation)
        )

    return build


def _pool(kind: str) -> Callable[[_Reading, Node], None]:
    def build(reading: _Reading, node: Node) -> None:
        name, shape = reading.value(node)
        if len(shape) not in (2, 3):
            raise _refuse(node, f"input of {len(shape) - 1} spatial axes, allowed 1 or 2")
        if len([o for o in node.outputs if o]) > 1:
            raise _refuse(node, "found the optional output Indices, allowed the values alone")
        window = windows.pooling(node, kind, shape[1:], reading.network.opset)
        out = (shape[0], *window.outside[-(len(shape) - 1) :])
        reading.add(
            Pool(name=node.name, inputs=(name,), output=node.outputs[0], shape=out, window=window, channels=shape[0])
        )

    return build


def _global_average(reading: _Reading, node: Node) -> None:
    name, shape = reading.value(node)
    inside = (1, prod(shape[1:]))
    window = windows.Window("average", inside, (1, 1), (1, 1), (0, 0, 0, 0), inside, (1, 1))
    out = (shape[0], *(1,) * (len(shape) - 1))
    reading.add(
        Pool(name=node.name, inputs=(name,), output=node.outputs[0], shape=out, window=window, channels=shape[0])
    )


def _add(reading: _Reading, node: Node) -> None:
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    fixed = [i for i in (0, 1) if node.inputs[i] in reading.network.constants]
    if not fixed:
        (left, left_shape), (right, right_shape) = reading.value(node, 0), reading.value(node, 1)
        if len(left_shape) != len(right_shape):
            raise _refuse(node, f"found shapes {left_shape} and {right_shape}, allowed the same number of axes")
        names, shapes, constant = (left, right), (left_shape, right_shape), None
    else:
        name, shape = reading.value(node, 1 - fixed[0])
        constant = reading.floats(node, fixed[0], "summand")
        full = (1,) * (len(shape) + 1 - constant.ndim) + constant.shape
        if len(full) != len(shape) + 1 or full[0] != 1:
            raise _refuse(node, f"constant of shape {constant.shape}, allowed one without a batch axis")
        names, shapes = (name,), (shape, full[1:])
    try:
        out = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise _refuse(node, f"found shapes {shapes}, allowed ones that broadcast") from error
    reading.add(Add(name=node.name, inputs=names, output=node.outputs[0], shape=out, shapes=shapes, constant=constant))


def _softmax(logarithm: bool) -> Callable[[_Reading, Node], None]:
    def build(reading: _Reading, node: Node) -> None:
        name, shape = reading.value(node)
        flat = reading.network.opset < 13
        axis = _axis(node, int(node.attributes.get("axis", 1 if flat else -1)), len(shape))
        length = prod(shape[axis:]) if flat else shape[axis]
        inner = 1 if flat else prod(shape[axis + 1 :])
        reading.add(
            Softmax(
                name=node.name,
                inputs=(name,),
                output=node.outputs[0],
                shape=shape,
                logarithm=logarithm,
                outer=prod(shape[:axis]),
                length=length,
                inner=inner,
            )
        )

    return build


def _concat(reading: _Reading, node: Node) -> None:
    values = [reading.value(node, i) for i in range(len(node.inputs))]
    axis = _axis(node, int(node.attributes["axis"]), len(values[0][1]))
    shapes = [shape for _, shape in values]
    out = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
    lengths = tuple(prod(shape[axis:]) for shape in shapes)
    reading.add(
        Concat(
            name=node.name,
            inputs=tuple(name for name, _ in values),
            output=node.outputs[0],
            shape=out,
            outer=prod(out[:axis]),
            lengths=lengths,
        )
    )


def _flatten(reading: _Reading, node: Node) -> None:
    _, shape = reading.value(node)
    axis = int(node.attributes.get("axis", 1))
    if axis not in (1, -len(shape)):
        raise _refuse(node, f"axis {axis}, allowed 1: the batch axis stays")
    reading.rename(node, (prod(shape),))


def _reshape(reading: _Reading, node: Node) -> None:
    _, before = reading.value(node)
    target = reading.constant(node, 1, "shape")
    if target is None:
        raise _refuse(node, "shape is missing, allowed a constant")
    dims = [int(d) for d in target]
    if not node.attributes.get("allowzero", 0):
        dims = [(1, *before)[i] if d == 0 and i <= len(before) else d for i, d in enumerate(dims)]
    if dims.count(-1) == 1:
        known = prod(d for d in dims if d != -1)
        dims[dims.index(-1)] = prod(before) // known if known else 0
    if not dims or dims[0] != 1 or prod(dims) != prod(before):
        raise _refuse(node, f"found {(1, *before)} made into {tuple(dims)}, allowed a batch axis of 1 that stays first")
    reading.rename(node, tuple(dims[1:]))


def _squeeze(reading: _Reading, node: Node) -> None:
    name = node.outputs[0]
    shape = reading.network.shapes.get(name)
    if shape is None or not shape or shape[0] != 1:
        raise _refuse(node, f"found result shape {shape}, allowed a static one whose batch axis stays")
    reading.rename(node, shape[1:])


def _identity(reading: _Reading, node: Node) -> None:
    reading.rename(node, reading.value(node)[1])


def _transpose(reading: _Reading, node: Node) -> None:
    name, shape = reading.value(node)
    axes = list(node.attributes.get("perm", range(len(shape), -1, -1)))
    if axes[0] != 0:
        raise _refuse(node, f"axes {axes}, allowed an order whose batch axis stays first")
    order = tuple(axis - 1 for axis in axes[1:])
    out = tuple(shape[axis] for axis in order)
    reading.add(Transpose(name=node.name, inputs=(name,), output=node.outputs[0], shape=out, source=shape, axes=order))


OPERATORS: Mapping[str, Callable[[_Reading, Node], None]] = MappingProxyType(
    {
        "Add": _add,
        "AveragePool": _pool("average"),
        "BatchNormalization": _batch_normalization,
        "Concat": _concat,
        "Conv": _convolution,
        "Dropout": _identity,
        "Flatten": _flatten,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_average,
        "Identity": _identity,
        "LeakyRelu": _pointwise("leaky_relu", 0.01),
        "LogSoftmax": _softmax(True),
        "MatMul": _matmul,
        "MaxPool": _pool("max"),
        "Relu": _pointwise("relu"),
        "Reshape": _reshape,
        "Sigmoid": _pointwise("sigmoid"),
        "Softmax": _softmax(False),
        "Squeeze": _squeeze,
        "Tanh": _pointwise("tanh"),
        "Transpose": _transpose,
        "Unsqueeze": _squeeze,
    }
)
"""ONNX operator → how a node of it becomes steps."""


def plan(network: Network) -> Program:
    """The steps that compute a network, fused where that changes no result.

    Raises
    ------
    UnsupportedError
        An operator, or a use of one, that the target does not know; the message names the node.
    """
    reading = _Reading(network)
    for node in network.nodes:
        build = OPERATORS.get(node.op)
        if build is None:
            raise UnsupportedError(
                f"{node.name}: found operator {node.op}, the c target allows {', '.join(sorted(OPERATORS))}"
            )
        build(reading, node)
    output = reading.alias.get(network.output_name, network.output_name)
    program = Program(
        steps=tuple(reading.steps),
        input=network.input_name,
        output=output,
        input_shape=network.input_shape,
        output_shape=reading.shapes[network.output_name],
    )
    return fuse(program)
