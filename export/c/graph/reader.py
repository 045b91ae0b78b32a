"""An ONNX model as a list of nodes over static shapes: constants folded, aliases kept, the batch axis taken off."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError

if TYPE_CHECKING:
    import onnx

__all__ = ["Network", "Node", "read"]


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
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in fixed.graph.initializer}
    inputs = [value for value in fixed.graph.input if value.name not in constants]
    if len(inputs) != 1 or len(fixed.graph.output) != 1:
        raise UnsupportedError(
            f"graph: found {len(inputs)} inputs and {len(fixed.graph.output)} outputs, allowed one of each"
        )
    shape = _input_shape(inputs[0])
    shapes = _fixed_shapes(fixed, inputs[0], shape)
    nodes = []
    for node in fixed.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise UnsupportedError(f"{_name(node)}: operator {node.domain}.{node.op_type}, allowed the standard domain")
        if node.op_type == "Shape" and node.input[0] in shapes:
            dims = np.array(shapes[node.input[0]], dtype=np.int64)
            attributes = _attributes(node)
            constants[node.output[0]] = dims[slice(attributes.get("start", 0), attributes.get("end"))]
        elif all(name == "" or name in constants for name in node.input):
            constants.update(_evaluate(node, constants, fixed))
        else:
            nodes.append(Node(node.op_type, _name(node), tuple(node.input), tuple(node.output), _attributes(node)))
    opset = max((o.version for o in fixed.opset_import if o.domain in ("", "ai.onnx")), default=1)
    output = fixed.graph.output[0].name
    if output in constants:
        raise UnsupportedError(f"{output}: found a constant output, allowed one that depends on the input")
    return Network(tuple(nodes), constants, inputs[0].name, output, shape, opset, shapes)


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


def _fixed_shapes(
    model: "onnx.ModelProto", value: "onnx.ValueInfoProto", shape: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Fix the batch axis to 1 in place of whatever it is, and infer what follows from it."""
    import onnx

    value.type.tensor_type.shape.dim[0].dim_value = 1
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {value.name: (1, *shape)}
    for info in [*inferred.graph.value_info, *inferred.graph.output]:
        tensor = info.type.tensor_type
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[info.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _evaluate(
    node: "onnx.NodeProto", constants: Mapping[str, NDArray[Any]], model: "onnx.ModelProto"
) -> dict[str, NDArray[Any]]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    names = sorted({name for name in node.input if name})
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(constants[name].dtype), None)
        for name in names
    ]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = onnx.helper.make_graph([node], "constant", inputs, outputs)
    single = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        results = ReferenceEvaluator(single).run(None, {name: constants[name] for name in names})
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise UnsupportedError(f"{_name(node)}: operator {node.op_type} on constants cannot be computed") from error
    return {name: np.asarray(result) for name, result in zip(node.output, results, strict=True)}
