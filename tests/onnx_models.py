"""Compressed networks with random weights, for the tests of the ONNX targets and of their runtimes."""

import numpy as np

from compress.graph import Graph, graph_of_zoo
from compress.representation import Codebook, CompressedModel, CompressedTensor, CsrCodes, DenseTensor, matrix_shape

__all__ = ["compressed"]


def compressed(sparsity: float = 0.9, bits: int = 5, seed: int = 0, graph: Graph | None = None) -> CompressedModel:
    """A network (classical LeNet-5 unless another graph is given) pruned and shared, never trained."""
    generator = np.random.default_rng(seed)
    graph = graph or graph_of_zoo("lenet-5")
    tensors: list[CompressedTensor | DenseTensor] = []
    for name, shape in graph.parameters.items():
        weights = generator.normal(size=shape).astype(np.float32)
        if len(shape) < 2:
            tensors.append(DenseTensor(name, weights))
            continue
        rows, columns = matrix_shape(shape)
        flat = weights.reshape(rows, columns)
        present = np.abs(flat) > np.quantile(np.abs(flat), sparsity)
        values = flat[present]
        centroids = np.linspace(values.min(), values.max(), 2**bits).astype(np.float32)
        codes = np.abs(values[:, None] - centroids).argmin(axis=1).astype(np.uint8)
        indptr = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int64)
        csr = CsrCodes((rows, columns), indptr, np.nonzero(present)[1].astype(np.int32), codes)
        tensors.append(CompressedTensor(name, shape, csr, Codebook(centroids, bits)))
    return CompressedModel(graph, tuple(tensors))
