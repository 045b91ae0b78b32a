"""Everything that is in an ONNX model: graphs in graphs and functions, tensors wherever they are stored."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import onnx

__all__ = ["all_graphs", "all_tensors", "nested_graphs", "subgraphs_of"]

_Home = TypeVar("_Home", bound="onnx.GraphProto | onnx.FunctionProto")


def all_graphs(model: "onnx.ModelProto") -> "Iterator[onnx.GraphProto | onnx.FunctionProto]":
    """The main graph, every function, and every subgraph of either."""
    yield from nested_graphs(model.graph)
    for function in model.functions:
        yield from nested_graphs(function)


def nested_graphs(graph: _Home) -> "Iterator[_Home | onnx.GraphProto]":
    """A graph or function and every subgraph in it."""
    yield graph
    for node in graph.node:
        for subgraph in subgraphs_of(node):
            yield from nested_graphs(subgraph)


def subgraphs_of(node: "onnx.NodeProto") -> "Iterator[onnx.GraphProto]":
    """The subgraphs of one node, such as the branches of an If."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_tensors(model: "onnx.ModelProto") -> "Iterator[onnx.TensorProto]":
    """Every tensor that is stored in the model: initialisers, and tensors in attributes."""
    import onnx

    for graph in all_graphs(model):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield sparse.values
                yield sparse.indices
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
