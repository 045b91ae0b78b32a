"""Where the weights of an ONNX model are: initialisers and Constant nodes of the graph, its subgraphs and functions."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from compress.onnx_file.read import all_graphs

if TYPE_CHECKING:
    import onnx

__all__ = ["FLOATS", "INTEGERS", "Weight", "find_weights", "small_tensors", "stored_tensors"]

FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16")
INTEGERS = ("INT8", "UINT8", "INT4", "UINT4")

_LEAST_ELEMENTS = 256
_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "LSTM": 1, "GRU": 1, "RNN": 1, "Gather": 0}


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A tensor of a model that may be worth coding.

    Parameters
    ----------
    label : str
        Its name in the model, with the graph it is in where that is not the main one.
    home : GraphProto or FunctionProto
        Whose name it has.
    node : NodeProto or None
        The Constant node that holds it; None for an initialiser.
    tensor : TensorProto
    operators : tuple of str
        Operators that read it, sorted.
    channel_axis : int or None
        Axis of the output channels, where its readers agree on one.
    """

    label: str
    home: Any
    node: Any
    tensor: Any
    operators: tuple[str, ...]
    channel_axis: int | None

    @property
    def name(self) -> str:
        """Name of the value in its home."""
        return str(self.tensor.name if self.node is None else self.node.output[0])

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.dims)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def element(self) -> str:
        """ONNX name of the element type."""
        import onnx

        return str(onnx.TensorProto.DataType.Name(self.tensor.data_type))

    @property
    def dense_bytes(self) -> int:
        """Bytes of its elements, as they are stored."""
        bits = {"FLOAT": 32, "FLOAT16": 16, "BFLOAT16": 16, "INT4": 4, "UINT4": 4}.get(self.element, 8)
        return (self.size * bits + 7) // 8


def find_weights(model: "onnx.ModelProto") -> tuple[list[Weight], dict[str, str]]:
    """Tensors that are large enough to code, in the order of the file, and why others that are large stay.

    Returns
    -------
    weights : list of Weight
    left : dict of str to str
        Label of a tensor that cannot be replaced → the reason.
    """
    import onnx

    weights, left = [], {}
    for number, home in enumerate(all_graphs(model)):
        main = home is model.graph
        prefix = "" if main else f"{home.name or f'graph {number}'}/"
        overridable = {value.name for value in home.input} if isinstance(home, onnx.GraphProto) else set()
        outputs = {value.name for value in home.output} if isinstance(home, onnx.GraphProto) else set(home.output)
        readers = _readers(home)
        for name, node, tensor in stored_tensors(home):
            element = onnx.TensorProto.DataType.Name(tensor.data_type)
            if element not in (*FLOATS, *INTEGERS) or not _large(tuple(tensor.dims)):
                continue
            label = prefix + name
            if name in overridable:
                left[label] = "also an input of the graph, which a caller may override"
            elif name in outputs:
                left[label] = "also an output of its graph"
            elif not readers.get(name):
                left[label] = "read by no node"
            else:
                uses = readers[name]
                operators = tuple(sorted({node.op_type for node, _ in uses}))
                axes = {_axis(node, place, len(tensor.dims)) for node, place in uses}
                weights.append(Weight(label, home, node, tensor, operators, axes.pop() if len(axes) == 1 else None))
    return weights, left


def small_tensors(model: "onnx.ModelProto") -> tuple[int, int]:
    """How many tensors of the types that are coded are too small for it, and the bytes of their elements."""
    small = [
        weight
        for home in all_graphs(model)
        for name, node, tensor in stored_tensors(home)
        if (weight := Weight(name, home, node, tensor, (), None)).element in (*FLOATS, *INTEGERS)
        and not _large(weight.shape)
    ]
    return len(small), sum(weight.dense_bytes for weight in small)


def stored_tensors(home: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, Constant node or None, and tensor of every value that a graph or function itself holds."""
    import onnx

    if isinstance(home, onnx.GraphProto):
        for initializer in home.initializer:
            yield initializer.name, None, initializer
    for node in home.node:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], node, attribute.t


def _large(shape: tuple[int, ...]) -> bool:
    """Vectors of biases and of normalisation are short and touchy: they have to be long to count as weights."""
    wide = sum(axis > 1 for axis in shape)
    return prod(shape) >= (_LEAST_ELEMENTS if wide > 1 else 16 * _LEAST_ELEMENTS)


def _readers(home: Any) -> dict[str, list[tuple[Any, int]]]:
    """For every value the nodes that read it, those in subgraphs included, and at which place."""
    readers: dict[str, list[tuple[Any, int]]] = {}
    for node in home.node:
        for place, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, place))
        for attribute in node.attribute:
            for subgraph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                own = {item.name for item in (*subgraph.initializer, *subgraph.input)}
                own |= {output for inner in subgraph.node for output in inner.output}
                for name, uses in _readers(subgraph).items():
                    if name not in own:
                        readers.setdefault(name, []).extend(uses)
                for output in subgraph.output:
                    if output.name not in own:
                        readers.setdefault(output.name, []).append((node, 0))
    return readers


def _axis(node: Any, place: int, dimensions: int) -> int | None:
    if node.op_type == "MatMul" and place == 1 and dimensions >= 2:
        return dimensions - 1
    if node.op_type == "Gemm" and place == 1:
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return 0 if transposed else 1
    axis = _CHANNEL_AXIS.get(node.op_type)
    return axis if axis is not None and axis < dimensions else None
