"""Operators with weights read into steps: convolutions, matrices, batch normalisation."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from export.c.graph import windows
from export.c.graph.reader import Node
from export.c.graph.reading import Reading, Shape, refuse
from export.c.graph.steps import Affine, Convolution, Linear

__all__ = ["batch_normalization", "convolution", "gemm", "matmul"]


def convolution(reading: Reading, node: Node) -> None:
    """Conv over one or two spatial axes."""
    name, shape = reading.value(node)
    weight = reading.floats(node, 1, "weight")
    bias = (
        reading.floats(node, 2, "bias")
        if len(node.inputs) > 2 and node.inputs[2]
        else np.zeros(len(weight), np.float32)
    )
    if len(shape) not in (2, 3):
        raise refuse(node, f"input of {len(shape) - 1} spatial axes, allowed 1 or 2")
    spatial = len(shape) - 1
    groups = int(node.attributes.get("group", 1))
    if shape[0] != weight.shape[1] * groups:
        raise refuse(node, f"input of {shape[0]} channels, allowed {weight.shape[1] * groups}")
    height, width = (1, *shape[1:])[-2:]
    kernel, strides, dilations, pads = windows.geometry(node, weight.shape[2:], (height, width)[-spatial:])
    out = tuple(
        (size + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, size in enumerate((height, width))
    )
    if min(out) < 1:
        raise refuse(node, f"found an empty result {out}, allowed at least one position")
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


def gemm(reading: Reading, node: Node) -> None:
    """Gemm with a constant second factor."""
    name, shape = reading.value(node)
    attributes = node.attributes
    weight = reading.floats(node, 1, "weight")
    if attributes.get("transA", 0) or len(shape) != 1:
        raise refuse(node, f"transposed input or input of shape {shape}, allowed a plain vector per image")
    weight = weight if attributes.get("transB", 0) else weight.T
    weight = (np.float32(attributes.get("alpha", 1.0)) * weight).astype(np.float32)
    bias = np.zeros(len(weight), np.float32)
    if len(node.inputs) > 2 and node.inputs[2]:
        found = reading.floats(node, 2, "bias")
        bias = np.broadcast_to(np.float32(attributes.get("beta", 1.0)) * found, (1, len(weight)))[0].astype(np.float32)
    _linear(reading, node, name, shape, weight, bias)


def matmul(reading: Reading, node: Node) -> None:
    """MatMul by a constant matrix, row by row."""
    name, shape = reading.value(node)
    weight = reading.floats(node, 1, "second factor")
    if weight.ndim != 2:
        raise refuse(node, f"second factor of {weight.ndim} axes, allowed 2")
    _linear(reading, node, name, shape, np.ascontiguousarray(weight.T), np.zeros(weight.shape[1], np.float32))


def _linear(
    reading: Reading, node: Node, name: str, shape: Shape, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> None:
    if shape[-1] != weight.shape[1]:
        raise refuse(node, f"input of {shape[-1]} features, allowed {weight.shape[1]}")
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


def batch_normalization(reading: Reading, node: Node) -> None:
    """BatchNormalization in inference: a scale and a shift per channel."""
    name, shape = reading.value(node)
    if node.attributes.get("training_mode", 0) or len([o for o in node.outputs if o]) > 1:
        raise refuse(node, "training mode, allowed inference")
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
