"""The network's graph without its weights, and where it comes from: the zoo, a torch module, an ONNX model."""

from compress.graph.files import LARGEST_MESSAGE, move_in_, serialise
from compress.graph.graph import Graph, graph_of_model, hollow_out_, mark_constants_
from compress.graph.module import graph_of_module
from compress.graph.walk import all_graphs, all_tensors, nested_graphs, subgraphs_of
from compress.graph.zoo import OPSET, graph_of_network, graph_of_zoo

__all__ = [
    "LARGEST_MESSAGE",
    "OPSET",
    "Graph",
    "all_graphs",
    "all_tensors",
    "graph_of_model",
    "graph_of_module",
    "graph_of_network",
    "graph_of_zoo",
    "hollow_out_",
    "mark_constants_",
    "move_in_",
    "nested_graphs",
    "serialise",
    "subgraphs_of",
]
