"""An ONNX model as operators over stored arrays: what does not depend on its input is computed here, by onnxruntime.

A file that decodes itself becomes the dense network again, bit for bit: its decoder is run as it stands, model-local
functions included, and nothing behind it is touched, fused or renamed.
"""

import ctypes
from collections.abc import Collection, Iterable, Iterator
from math import prod
from typing import TYPE_CHECKING

from compress.elements import element_of_onnx
from compress.errors import UnsupportedError, first_line
from compress.graph import files
from compress.graph.walk import subgraphs_of

if TYPE_CHECKING:
    import onnx
    import onnxruntime

__all__ = ["fold"]

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
"""Operators that are no constant although they read none but constants."""


def fold(model: "onnx.ModelProto", *, kept: Collection[str] = ()) -> "onnx.ModelProto":
    """The model without the nodes that do not depend on its input; their results become initialisers.

    Parameters
    ----------
    model : ModelProto
        Complete, with its weights; not changed. An initialiser that is also a graph input counts as constant.
    kept : collection of str
        Operators of which every node stays, whatever it depends on.

    Returns
    -------
    ModelProto
        With the same input, outputs and remaining nodes. Functions that no node calls any more are gone.

    Raises
    ------
    UnsupportedError
        onnxruntime cannot compute the constants, or what they are computed from is too large for one message.
    """
    import onnx

    live = {value.name for value in model.graph.input} - {item.name for item in model.graph.initializer}
    moving: list[onnx.NodeProto] = []
    still: list[onnx.NodeProto] = []
    for node in model.graph.node:
        depends = node.op_type in _RANDOM or node.op_type in kept or not live.isdisjoint(_read(node))
        (moving if depends else still).append(node)
        live.update(node.output if depends else ())
    made = {name for node in still for name in node.output if name}
    wanted = {name for node in moving for name in _read(node)} | {value.name for value in model.graph.output}
    results = _computed(model, still, sorted(made & wanted))
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    del plain.graph.node[:], plain.functions[:]
    plain.graph.node.extend(moving)
    for place in reversed(range(len(model.graph.initializer))):  # what stays is not copied a second time
        if model.graph.initializer[place].name not in wanted:
            del plain.graph.initializer[place]
    plain.graph.initializer.extend(results)
    plain.functions.extend(_called(model, moving))
    return plain


def _read(node: "onnx.NodeProto") -> Iterator[str]:
    """Names that a node reads, those that its subgraphs take from outside among them."""
    yield from (name for name in node.input if name)
    for graph in subgraphs_of(node):
        for inner in graph.node:
            yield from _read(inner)
        yield from (value.name for value in graph.output)


def _called(model: "onnx.ModelProto", nodes: "list[onnx.NodeProto]") -> "list[onnx.FunctionProto]":
    """The functions that these nodes call, and those that they call in turn."""
    open_nodes, names = list(nodes), set()
    while open_nodes:
        node = open_nodes.pop()
        for function in model.functions:
            key = (function.domain, function.name)
            if key == (node.domain, node.op_type) and key not in names:
                names.add(key)
                open_nodes += function.node
        for graph in subgraphs_of(node):
            open_nodes += graph.node
    return [function for function in model.functions if (function.domain, function.name) in names]


def _computed(model: "onnx.ModelProto", nodes: "list[onnx.NodeProto]", names: list[str]) -> "list[onnx.TensorProto]":
    """What these nodes give under these names."""
    if not names:
        return []
    import onnx
    import onnxruntime

    read = {name for node in nodes for name in _read(node)}
    stored = [item for item in model.graph.initializer if item.name in read]
    size = _bytes_of(stored)
    if size > files.LARGEST_MESSAGE:
        raise UnsupportedError(
            f"graph: its constants are computed from {size} bytes of weights, allowed {files.LARGEST_MESSAGE}"
        )
    alone = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    alone.graph.name = "constants"
    alone.graph.node.extend(nodes)
    alone.graph.initializer.extend(stored)
    alone.graph.sparse_initializer.extend(model.graph.sparse_initializer)
    alone.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(alone.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results = session.run_with_ort_values(names, {})
    except Exception as error:  # onnxruntime raises a type of its own for every status
        raise UnsupportedError(f"graph: its constants cannot be computed ({first_line(error)})") from error
    return [_tensor(name, value) for name, value in zip(names, results, strict=True)]


def _tensor(name: str, value: "onnxruntime.OrtValue") -> "onnx.TensorProto":
    """A result as an initialiser; from memory, as NumPy has no bfloat16 and no integers of four bits."""
    import onnx

    if not value.is_tensor():
        raise UnsupportedError(f"{name}: found a constant of type {value.data_type()}, allowed a tensor")
    if value.element_type() == onnx.TensorProto.STRING:
        return onnx.numpy_helper.from_array(value.numpy(), name)
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return onnx.TensorProto(name=name, data_type=value.element_type(), dims=value.shape(), raw_data=data)


def _bytes_of(tensors: "Iterable[onnx.TensorProto]") -> int:
    """Bytes of the elements; protobuf would count them by writing the message."""
    kinds = [(tensor, element_of_onnx(tensor.data_type)) for tensor in tensors]
    return sum(len(tensor.raw_data) if kind is None else kind.stored_bytes(prod(tensor.dims)) for tensor, kind in kinds)
