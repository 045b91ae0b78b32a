"""An ONNX file as a plain list of operators over named arrays, for the runtimes that do not read ONNX."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

if TYPE_CHECKING:
    import onnx

__all__ = [
    "Node",
    "PlainGraph",
    "constant_input",
    "decodes_itself",
    "input_shape",
    "plain_file",
    "read_graph",
    "read_model",
]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator: its ONNX name, input and output names ("" where left out), and attributes as Python values."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlainGraph:
    """A network with one input and one output.

    Parameters
    ----------
    input, output : str
        Their names.
    input_shape : tuple of int or None
        None at the batch axis where it is free.
    nodes : tuple of Node
        In an order in which they can run.
    constants : mapping of str to array
        Weights and every other constant, by name.
    """

    input: str
    output: str
    input_shape: tuple[int | None, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]


def read_model(path: Path) -> "onnx.ModelProto":
    """Read an ONNX file.

    Raises
    ------
    BenchError
        It is not there, or is not ONNX.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

    try:
        model = onnx.load(path)
    except OSError as error:
        raise BenchError(f"{path}: found no readable file ({error.strerror}), allowed an ONNX file") from error
    except DecodeError as error:
        raise BenchError(f"{path}: found no ONNX model ({error}), allowed an ONNX file") from error
    if not model.graph.node:
        raise BenchError(f"{path}: found a model without operators, allowed an ONNX network")
    return model


def _inputs(model: "onnx.ModelProto") -> list["onnx.ValueInfoProto"]:
    constant = {initializer.name for initializer in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constant]


def input_shape(model: "onnx.ModelProto", label: str) -> tuple[int | None, ...]:
    """The shape of the one input, None for a free batch axis.

    Raises
    ------
    BenchError
        More or fewer than one input and one output, an input that is not float32, or a free axis after the first.
    """
    import onnx

    inputs = _inputs(model)
    if len(inputs) != 1 or len(model.graph.output) != 1:
        found = f"{len(inputs)} inputs and {len(model.graph.output)} outputs"
        raise BenchError(f"{label}: found {found}, allowed one of each")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise BenchError(f"{label}: found an input of type {kind}, allowed FLOAT")
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim)
    if not shape or None in shape[1:]:
        raise BenchError(f"{label}: found an input of shape {shape}, allowed only a free first axis")
    return shape


def _is_plain(model: "onnx.ModelProto") -> bool:
    """No functions, and no operator that works on constants alone (a self-decoding file is full of those)."""
    if model.functions or any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        return False
    live = {value.name for value in _inputs(model)}
    for node in model.graph.node:
        if node.op_type == "Constant":
            continue
        if not live.intersection(node.input) or node.op_type == "Shape":
            return False
        live.update(node.output)
    return True


def decodes_itself(model: "onnx.ModelProto") -> bool:
    """Whether weights are looked up from stored codes when the file is loaded: a Gather or a ScatterElements, or a
    model-local function, works on constants alone."""
    own = {(function.domain, function.name) for function in model.functions}
    live = {value.name for value in _inputs(model)}
    for node in model.graph.node:
        if not live.isdisjoint(node.input):
            live.update(node.output)
        elif node.op_type in ("Gather", "ScatterElements") or (node.domain, node.op_type) in own:
            return True
    return False


def plain_file(path: Path, directory: Path, batch_size: int) -> Path:
    """Write the network as standard operators over dense weights at a fixed batch size, and return the file.

    A file that is plain already keeps its operators; any other goes through onnxruntime's basic optimisations, which
    inline functions and fold everything that does not depend on the input.

    Raises
    ------
    BenchError
        The file is not a network that this room can read, or its batch size is fixed to another.
    """
    import onnx

    model = read_model(path)
    fixed = input_shape(model, path.name)[0]
    if fixed is not None and fixed != batch_size:
        raise BenchError(f"{path.name}: found a fixed batch size of {fixed}, allowed {batch_size}")
    for value in _inputs(model):
        value.type.tensor_type.shape.dim[0].ClearField("dim_param")
        value.type.tensor_type.shape.dim[0].dim_value = batch_size
    target = directory / "plain.onnx"
    if _is_plain(model):
        onnx.save(model, target)
        return target
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return target


def read_graph(path: Path) -> PlainGraph:
    """Read a plain ONNX file as a list of operators.

    Raises
    ------
    BenchError
        It is not there, not ONNX, or has not one input and one output.
    """
    import onnx

    model = read_model(path)
    shape = input_shape(model, path.name)
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        attributes = {item.name: _attribute(item) for item in node.attribute}
        if node.op_type == "Constant":
            (value,) = attributes.values()
            constants[node.output[0]] = np.asarray(value)
        else:
            nodes.append(Node(node.op_type, tuple(node.input), tuple(node.output), attributes))
    return PlainGraph(_inputs(model)[0].name, model.graph.output[0].name, shape, tuple(nodes), constants)


def constant_input(node: Node, constants: Mapping[str, NDArray[Any]], index: int) -> NDArray[Any]:
    """An input that has to be a constant, as an array.

    Raises
    ------
    BenchError
        It is computed at run time.
    """
    name = node.inputs[index]
    if name not in constants:
        raise BenchError(f"{node.op}: found input {name} computed at run time, allowed a constant")
    return constants[name]


def _attribute(attribute: "onnx.AttributeProto") -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return tuple(value) if isinstance(value, list) else value
