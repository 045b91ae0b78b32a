"""Operators without weights read into steps, and those that only rename or reshape a value."""

from collections.abc import Callable
from math import prod

import numpy as np

from export.c.graph import windows
from export.c.graph.reader import Node
from export.c.graph.reading import Reading, Shape, behind_batch, refuse
from export.c.graph.steps import Activation, Add, Concat, Pointwise, Pool, Softmax, Transpose

__all__ = [
    "add",
    "cast",
    "concat",
    "flatten",
    "global_average",
    "identity",
    "pointwise",
    "pool",
    "reduce_mean",
    "reshape",
    "softmax",
    "squeeze",
    "transpose",
]

_FLOAT = 1
"""float32 among the element types of ONNX."""


def pointwise(kind: str, alpha: float = 0.0) -> Callable[[Reading, Node], None]:
    """What reads an activation; `alpha` where the node states none."""

    def build(reading: Reading, node: Node) -> None:
        name, shape = reading.value(node)
        activation = Activation(kind, float(node.attributes.get("alpha", alpha)))
        reading.add(
            Pointwise(name=node.name, inputs=(name,), output=node.outputs[0], shape=shape, activation=activation)
        )

    return build


def pool(kind: str) -> Callable[[Reading, Node], None]:
    """What reads MaxPool ("max") or AveragePool ("average")."""

    def build(reading: Reading, node: Node) -> None:
        name, shape = reading.value(node)
        if len(shape) not in (2, 3):
            raise refuse(node, f"input of {len(shape) - 1} spatial axes, allowed 1 or 2")
        if len([o for o in node.outputs if o]) > 1:
            raise refuse(node, "found the optional output Indices, allowed the values alone")
        window = windows.pooling(node, kind, shape[1:], reading.network.opset)
        out = (shape[0], *window.outside[-(len(shape) - 1) :])
        reading.add(
            Pool(name=node.name, inputs=(name,), output=node.outputs[0], shape=out, window=window, channels=shape[0])
        )

    return build


def global_average(reading: Reading, node: Node) -> None:
    """GlobalAveragePool: one window over the whole plane."""
    _, shape = reading.value(node)
    _mean(reading, node, (shape[0], *(1,) * (len(shape) - 1)))


def reduce_mean(reading: Reading, node: Node) -> None:
    """ReduceMean over every axis behind the channels, which is how exporters write a global average."""
    _, shape = reading.value(node)
    given = reading.constant(node, 1, "axes")
    axes = node.attributes.get("axes", []) if given is None else given.tolist()
    rank = len(shape) + 1
    if sorted(axis % rank for axis in axes) != list(range(2, rank)):
        raise refuse(node, f"axes {list(axes)}, allowed all behind the channels: {list(range(2, rank))}")
    keep = node.attributes.get("keepdims", 1)
    _mean(reading, node, (shape[0], *((1,) * (rank - 2) if keep else ())))


def _mean(reading: Reading, node: Node, out: Shape) -> None:
    name, shape = reading.value(node)
    inside = (1, prod(shape[1:]))
    window = windows.Window("average", inside, (1, 1), (1, 1), (0, 0, 0, 0), inside, (1, 1))
    reading.add(
        Pool(name=node.name, inputs=(name,), output=node.outputs[0], shape=out, window=window, channels=shape[0])
    )


def add(reading: Reading, node: Node) -> None:
    """Add of two values, or of a value and a constant."""
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    fixed = [i for i in (0, 1) if node.inputs[i] in reading.network.constants]
    if not fixed:
        (left, left_shape), (right, right_shape) = reading.value(node, 0), reading.value(node, 1)
        if len(left_shape) != len(right_shape):
            raise refuse(node, f"found shapes {left_shape} and {right_shape}, allowed the same number of axes")
        names, shapes, constant = (left, right), (left_shape, right_shape), None
    else:
        name, shape = reading.value(node, 1 - fixed[0])
        constant = reading.floats(node, fixed[0], "summand")
        full = (1,) * (len(shape) + 1 - constant.ndim) + constant.shape
        if len(full) != len(shape) + 1 or full[0] != 1:
            raise refuse(node, f"constant of shape {constant.shape}, allowed one without a batch axis")
        names, shapes = (name,), (shape, full[1:])
    try:
        out = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise refuse(node, f"found shapes {shapes}, allowed ones that broadcast") from error
    reading.add(Add(name=node.name, inputs=names, output=node.outputs[0], shape=out, shapes=shapes, constant=constant))


def softmax(logarithm: bool) -> Callable[[Reading, Node], None]:
    """What reads Softmax or, with `logarithm`, LogSoftmax."""

    def build(reading: Reading, node: Node) -> None:
        name, shape = reading.value(node)
        flat = reading.network.opset < 13
        axis = behind_batch(node, int(node.attributes.get("axis", 1 if flat else -1)), len(shape))
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


def concat(reading: Reading, node: Node) -> None:
    """Concat along any axis but the batch."""
    values = [reading.value(node, i) for i in range(len(node.inputs))]
    axis = behind_batch(node, int(node.attributes["axis"]), len(values[0][1]))
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


def flatten(reading: Reading, node: Node) -> None:
    """Flatten of all but the batch."""
    _, shape = reading.value(node)
    axis = int(node.attributes.get("axis", 1))
    if axis not in (1, -len(shape)):
        raise refuse(node, f"axis {axis}, allowed 1: the batch axis stays")
    reading.rename(node, (prod(shape),))


def reshape(reading: Reading, node: Node) -> None:
    """Reshape by a constant, the batch axis first."""
    _, before = reading.value(node)
    target = reading.constant(node, 1, "shape")
    if target is None:
        raise refuse(node, "shape is missing, allowed a constant")
    dims = [int(d) for d in target]
    if not node.attributes.get("allowzero", 0):
        dims = [(1, *before)[i] if d == 0 and i <= len(before) else d for i, d in enumerate(dims)]
    if dims.count(-1) == 1:
        known = prod(d for d in dims if d != -1)
        dims[dims.index(-1)] = prod(before) // known if known else 0
    if not dims or dims[0] != 1 or prod(dims) != prod(before):
        raise refuse(node, f"found {(1, *before)} made into {tuple(dims)}, allowed a batch axis of 1 that stays first")
    reading.rename(node, tuple(dims[1:]))


def squeeze(reading: Reading, node: Node) -> None:
    """Squeeze and Unsqueeze, by the shapes that onnx infers."""
    name = node.outputs[0]
    shape = reading.network.shapes.get(name)
    if shape is None or not shape or shape[0] != 1:
        raise refuse(node, f"found result shape {shape}, allowed a static one whose batch axis stays")
    reading.rename(node, shape[1:])


def identity(reading: Reading, node: Node) -> None:
    """Identity, and Dropout in inference."""
    reading.rename(node, reading.value(node)[1])


def cast(reading: Reading, node: Node) -> None:
    """Cast and CastLike from float32 to float32, which exporters leave behind."""
    like = reading.network.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    wanted = node.attributes.get("to", _FLOAT)
    if wanted != _FLOAT or (like is not None and like.dtype != np.float32):
        raise refuse(node, f"element type {wanted if like is None else like.dtype}, allowed float32")
    reading.rename(node, reading.value(node)[1])


def transpose(reading: Reading, node: Node) -> None:
    """Transpose of all axes but the batch."""
    name, shape = reading.value(node)
    axes = list(node.attributes.get("perm", range(len(shape), -1, -1)))
    if axes[0] != 0:
        raise refuse(node, f"axes {axes}, allowed an order whose batch axis stays first")
    order = tuple(axis - 1 for axis in axes[1:])
    out = tuple(shape[axis] for axis in order)
    reading.add(Transpose(name=node.name, inputs=(name,), output=node.outputs[0], shape=out, source=shape, axes=order))
