"""An ONNX model as a list of nodes over static shapes: constants folded, aliases kept, the batch axis taken off."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError
from compress.graph.fold import fold

if TYPE_CHECKING:
    import onnx

__all__ = ["Network", "Node", "read"]

_STANDARD = ("", "ai.onnx")
"""Spellings of the ONNX standard domain."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operator on tensors that change with the input.

    Parameters
    ----------
    op : str
        Operator type of the ONNX standard domain.
    name : str
        The node's name, or that of its first output.
    inputs : tuple of str
        Names of its inputs; "" where an optional one is left out.
    outputs : tuple of str
    attributes : mapping of str to value
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Network:
    """A model whose dynamic part is `nodes`, in an order in which they can run.

    Parameters
    ----------
    nodes : tuple of Node
    constants : mapping of str to array
        Every tensor that does not change with the input.
    input_name, output_name : str
    input_shape : tuple of int
        Shape of one input, without the batch axis.
    opset : int
    shapes : mapping of str to tuple of int
        Shapes that the model itself states, with a batch axis of 1, where they are static.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    input_name: str
    output_name: str
    input_shape: tuple[int, ...]
    opset: int
    shapes: Mapping[str, tuple[int, ...]]


def read(model: "onnx.ModelProto") -> Network:
    """Read a model with one float32 input and one output; what does not depend on the input is computed now.

    Parameters
    ----------
    model : onnx.ModelProto
        Complete, with its weights; the first axis of its input is the batch.

    Returns
    -------
    Network

    Raises
    ------
    UnsupportedError
        More than one input or output, an input that is not float32 or not static behind its batch axis, or an
        operator outside the ONNX standard domain.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    stored = {initializer.name for initializer in fixed.graph.initializer}
    inputs = [value for value in fixed.graph.input if value.name not in stored]
    if len(inputs) != 1 or len(fixed.graph.output) != 1:
        raise UnsupportedError(
            f"graph: found {len(inputs)} inputs and {len(fixed.graph.output)} outputs, allowed one of each"
        )
    input_name, output_name = inputs[0].name, fixed.graph.output[0].name
    shape = _input_shape(inputs[0])
    shapes, types = _inferred(fixed, inputs[0], shape)
    _store_shapes_(fixed.graph, shapes)
    _cast_(fixed.graph, types)
    folded = fold(fixed)
    del fixed, inputs  # a copy of the weights
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in folded.graph.initializer}
    if output_name in constants:
        raise UnsupportedError(f"{output_name}: found a constant output, allowed one that depends on the input")
    nodes = []
    for node in folded.graph.node:
        if node.domain not in _STANDARD:
            raise UnsupportedError(f"{_name(node)}: operator {node.domain}.{node.op_type}, allowed the standard domain")
        nodes.append(Node(node.op_type, _name(node), tuple(node.input), tuple(node.output), _attributes(node)))
    opset = max((o.version for o in folded.opset_import if o.domain in _STANDARD), default=1)
    return Network(tuple(nodes), constants, input_name, output_name, shape, opset, shapes)


def _name(node: "onnx.NodeProto") -> str:
    return node.name or node.output[0]


def _attributes(node: "onnx.NodeProto") -> dict[str, Any]:
    import onnx

    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _input_shape(value: "onnx.ValueInfoProto") -> tuple[int, ...]:
    import onnx

    tensor = value.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        raise UnsupportedError(f"{value.name}: found element type {tensor.elem_type}, allowed float32")
    dims = tensor.shape.dim
    if len(dims) < 2 or any(not dim.HasField("dim_value") or dim.dim_value < 1 for dim in dims[1:]):
        found = [dim.dim_param or dim.dim_value for dim in dims]
        raise UnsupportedError(f"{value.name}: found shape {found}, allowed a batch axis and static positive axes")
    return tuple(dim.dim_value for dim in dims[1:])


def _inferred(
    model: "onnx.ModelProto", value: "onnx.ValueInfoProto", shape: tuple[int, ...]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Fix the batch axis to 1 in place of whatever it is, and infer the static shapes and element types of values."""
    import onnx

    value.type.tensor_type.shape.dim[0].dim_value = 1
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes, types = {value.name: (1, *shape)}, {value.name: value.type.tensor_type.elem_type}
    types |= {initializer.name: initializer.data_type for initializer in model.graph.initializer}
    for info in [*inferred.graph.value_info, *inferred.graph.output]:
        tensor = info.type.tensor_type
        dims = tensor.shape.dim
        types[info.name] = tensor.elem_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[info.name] = tuple(dim.dim_value for dim in dims)
    return shapes, types


def _store_shapes_(graph: "onnx.GraphProto", shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Put in the place of every Shape node whose result is known that result."""
    import onnx

    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if node.op_type == "Shape" and node.domain in _STANDARD and node.input[0] in shapes:
            attributes = _attributes(node)
            part = slice(attributes.get("start", 0), attributes.get("end"))
            dims = np.array(shapes[node.input[0]][part], dtype=np.int64)
            graph.initializer.append(onnx.numpy_helper.from_array(dims, node.output[0]))
            del graph.node[place]


def _cast_(graph: "onnx.GraphProto", types: Mapping[str, int]) -> None:
    """Make every CastLike to float32 a Cast.

    torch writes the bias that a convolution lacks as a constant in the type of the input: as a Cast it can be folded.
    """
    from onnx import TensorProto, helper

    kind = TensorProto.FLOAT
    for node in graph.node:
        if node.op_type == "CastLike" and node.domain in _STANDARD and types.get(node.input[1]) == kind:
            node.CopyFrom(helper.make_node("Cast", [node.input[0]], list(node.output), name=node.name, to=kind))
