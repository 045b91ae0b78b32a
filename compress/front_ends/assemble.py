"""The compressed model put together from masks, codes and centroids, rounded where the recipe rounds."""

from collections.abc import Collection, Mapping
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from compress.graph import Graph
from compress.recipe.recipe import Recipe
from compress.representation import CodedTensor, CompressedModel, DenseTensor
from compress.share.halves import halved

__all__ = ["assemble"]


def assemble(
    graph: Graph,
    weights: Mapping[str, NDArray[np.float32]],
    shared: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.uint8], NDArray[np.float32]]],
    recipe: Recipe,
) -> CompressedModel:
    """Build the compressed model of a network.

    Parameters
    ----------
    graph : Graph
    weights : mapping of str to float32
        Every parameter of `graph`; those that are not shared are kept as they are.
    shared : mapping of str to (mask bool, codes uint8 [nnz], centroids float32 [k])
        Parameter → which of its weights survive, their codes in row-major order, what the codes stand for, not sorted.
    recipe : Recipe
        Its `half` rounds centroids, and the biases of shared layers, to half precision; an array with a value beyond
        that range stays as it is. Its bits bound the codebooks; its fields are the provenance.
    """
    return CompressedModel(
        graph,
        tuple(
            _coded_tensor(name, *shared[name], recipe)
            if name in shared
            else DenseTensor(name, halved(array) if recipe.half and _is_bias_of(name, shared) else array)
            for name, array in weights.items()
        ),
        _provenance(recipe),
    )


def _coded_tensor(
    name: str, mask: NDArray[np.bool_], codes: NDArray[np.uint8], centroids: NDArray[np.float32], recipe: Recipe
) -> CodedTensor:
    values, renumbered = np.unique(halved(centroids) if recipe.half else centroids, return_inverse=True)
    positive_zero = np.float32(0)  # added, it makes of -0.0 the 0.0 that every version of the packed file holds
    return CodedTensor.of_mask(name, mask, renumbered[codes], values + positive_zero, recipe.bits_of(name, mask.shape))


def _is_bias_of(name: str, shared: Collection[str]) -> bool:
    return name.endswith("bias") and f"{name.removesuffix('bias')}weight" in shared


def _provenance(recipe: Recipe) -> dict[str, str]:
    kept = {"seed", "sparsity", "bits"}
    fields = {name: value for name, value in recipe.flat().items() if name in kept or name in recipe.changed()}
    return {
        "recipe": " ".join(f"{name}={value}" for name, value in fields.items()).replace("'", ""),
        "versions": " ".join(f"{name} {metadata.version(name)}" for name in ("deep-compress", "torch")),
    }
