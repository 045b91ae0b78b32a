"""Where the weights of an ONNX model are: initialisers and Constant nodes of the graph, its subgraphs and functions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.elements import Element, element_of_onnx
from compress.errors import WeightsError
from compress.graph import all_graphs, subgraphs_of
from compress.onnx_file.read import OnnxFile
from compress.representation import MAX_SIZE

__all__ = ["Weight", "find_weights", "not_finite_at", "small_tensors", "stored_tensors"]

_LEAST_ELEMENTS = 256
"""Elements from which on a tensor is worth a codebook and the nodes that decode it."""

_VECTOR_FACTOR = 16
"""A vector has to be so many times longer: biases and normalisation are short and touchy, and no weights."""

_CHUNK = 1 << 20
"""Elements taken at a time, so that what is computed beside them stays at some megabytes."""

_CHANNEL_AXIS: Mapping[str, int] = MappingProxyType(
    {"Conv": 0, "ConvTranspose": 1, "LSTM": 1, "GRU": 1, "RNN": 1, "Gather": 0}
)
"""Axis of the output channels in the weights that an operator reads, as the ONNX specification lays them out."""


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A tensor of a model that may be worth coding.

    Parameters
    ----------
    file : OnnxFile
        That it is in.
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

    file: OnnxFile
    label: str
    home: Any
    node: Any
    tensor: Any
    operators: tuple[str, ...] = ()
    channel_axis: int | None = None

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
    def element(self) -> Element:
        found = element_of_onnx(self.tensor.data_type)
        assert found is not None
        return found

    @property
    def dense_bytes(self) -> int:
        """Bytes of its elements, as they are stored."""
        return self.element.stored_bytes(self.size)

    def array(self) -> NDArray[Any]:
        """Its elements.

        Raises
        ------
        WeightsError
            A float is NaN or infinite.
        """
        array = self.file.array(self.tensor)
        wrong = not_finite_at(array)
        if wrong is not None:
            raise WeightsError(f"{self.label}: found NaN or infinity at element {wrong}, allowed finite weights")
        return array


def not_finite_at(array: NDArray[Any]) -> int | None:
    """Place of the first NaN or infinity; None where there is none. Looks at a little of the array at a time."""
    flat = array.reshape(-1)
    if flat.dtype.kind in "iu":
        return None
    for start in range(0, flat.size, _CHUNK):
        finite = np.isfinite(flat[start : start + _CHUNK].astype(np.float32, copy=False))
        if not finite.all():
            return start + int(np.flatnonzero(~finite)[0])
    return None


def find_weights(file: OnnxFile) -> tuple[list[Weight], dict[str, str]]:
    """Tensors that are large enough to code, in the order of the file, and why others that are large stay.

    Returns
    -------
    weights : list of Weight
    left : dict of str to str
        Label of a tensor that cannot be replaced → the reason.
    """
    import onnx

    model, weights, left = file.model, [], {}
    for number, home in enumerate(all_graphs(model)):
        main = home is model.graph
        prefix = "" if main else f"{home.name or f'graph {number}'}/"
        overridable = {value.name for value in home.input} if isinstance(home, onnx.GraphProto) else set()
        outputs = {value.name for value in home.output} if isinstance(home, onnx.GraphProto) else set(home.output)
        readers = _readers(home)
        for name, node, tensor in stored_tensors(home):
            if element_of_onnx(tensor.data_type) is None or not _large(tuple(tensor.dims)):
                continue
            label = prefix + name
            if name in overridable:
                left[label] = "also an input of the graph, which a caller may override"
            elif name in outputs:
                left[label] = "also an output of its graph"
            elif not readers.get(name):
                left[label] = "read by no node"
            elif prod(tensor.dims) > MAX_SIZE:
                left[label] = f"more than {MAX_SIZE} elements"
            else:
                uses = readers[name]
                operators = tuple(sorted({node.op_type for node, _ in uses}))
                axes = {_axis(node, place, len(tensor.dims)) for node, place in uses}
                axis = axes.pop() if len(axes) == 1 else None
                weights.append(Weight(file, label, home, node, tensor, operators, axis))
    return weights, left


def small_tensors(file: OnnxFile) -> tuple[int, int]:
    """How many tensors of the types that are coded are too small for it, and the bytes of their elements."""
    small = [
        kind.stored_bytes(prod(tensor.dims))
        for home in all_graphs(file.model)
        for _, _, tensor in stored_tensors(home)
        if (kind := element_of_onnx(tensor.data_type)) is not None and not _large(tuple(tensor.dims))
    ]
    return len(small), sum(small)


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
    wide = sum(axis > 1 for axis in shape)
    return prod(shape) >= _LEAST_ELEMENTS * (1 if wide > 1 else _VECTOR_FACTOR)


def _readers(home: Any) -> dict[str, list[tuple[Any, int]]]:
    """For every value the nodes that read it, those in subgraphs included, and at which place."""
    readers: dict[str, list[tuple[Any, int]]] = {}
    for node in home.node:
        for place, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, place))
        for subgraph in subgraphs_of(node):
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
