"""The stage that merges neurons: the most alike of one layer, one at a time, with retraining after each."""

from compress.errors import UnsupportedError
from compress.networks.traced import TracedModule, rebuilt
from compress.prune.merge import merge_neurons, merge_point, most_similar
from compress.recipe.recipe import Recipe
from compress.training.epochs import gram
from compress.training.trainer import Trainer

__all__ = ["merge_"]


def merge_(traced: TracedModule, recipe: Recipe, trainer: Trainer) -> TracedModule:
    """Merge as many neurons as the recipe asks for.

    Raises
    ------
    UnsupportedError
        The network is not of the zoo.
    UsageError
        The layer is not one that so many neurons can be merged in.
    """
    layer, count = recipe.merging.merge_layer, recipe.merging.merge_neurons
    if traced.network is None:
        raise UnsupportedError("merge-layer: found a network that is not of the zoo, allowed those of the zoo only")
    merge_point(traced.network, layer, count)
    for number in range(1, count + 1):
        assert traced.network is not None
        read_from = merge_point(traced.network, layer)
        first, second, cosine = most_similar(gram(traced.module, read_from, trainer.examples).cpu().numpy())
        trainer.observer.note("merge", f"{number}/{count}: neurons {first} and {second}, cosine {cosine:.4f}")
        traced = rebuilt(traced, *merge_neurons(traced.network, traced.weights(), layer, first, second))
        trainer.retrain_(traced.module, f"merge {number}", recipe.merging.merge_epochs, traced.present())
    return traced
