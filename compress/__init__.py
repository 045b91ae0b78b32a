"""Deep Compression carried to deployment: prune, share weights, Huffman-code, pack.

The public names are imported from here; nothing heavy is loaded before one of them is used.

>>> from compress import Recipe
>>> Recipe(sparsity=0.95, bits=4).run_name()
'lenet-5-mnist-s0.95-b4'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compress.front_ends.compression import Compression
    from compress.front_ends.module import compress_network
    from compress.front_ends.post_training import post_training
    from compress.graph import Graph, graph_of_model, graph_of_module, graph_of_zoo
    from compress.packed.container import dumps, load, loads, save
    from compress.recipe.recipe import Recipe
    from compress.representation import Codebook, CodedTensor, CompressedModel, DenseTensor, Grid
    from compress.rounding.settings import PostTraining
    from compress.sparse import CsrCodes, csr_of

__all__ = [
    "Codebook",
    "CodedTensor",
    "CompressedModel",
    "Compression",
    "CsrCodes",
    "DenseTensor",
    "Graph",
    "Grid",
    "PostTraining",
    "Recipe",
    "compress_network",
    "csr_of",
    "dumps",
    "graph_of_model",
    "graph_of_module",
    "graph_of_zoo",
    "load",
    "loads",
    "post_training",
    "save",
]

_HOMES = {
    "Codebook": "representation",
    "CompressedModel": "representation",
    "CodedTensor": "representation",
    "Compression": "front_ends.compression",
    "CsrCodes": "sparse",
    "DenseTensor": "representation",
    "Graph": "graph",
    "Grid": "representation",
    "PostTraining": "rounding.settings",
    "Recipe": "recipe.recipe",
    "compress_network": "front_ends.module",
    "dumps": "packed.container",
    "graph_of_model": "graph",
    "graph_of_module": "graph",
    "graph_of_zoo": "graph",
    "load": "packed.container",
    "loads": "packed.container",
    "csr_of": "sparse",
    "post_training": "front_ends.post_training",
    "save": "packed.container",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'compress' has no attribute {name!r}")
    return getattr(import_module(f"compress.{_HOMES[name]}"), name)
