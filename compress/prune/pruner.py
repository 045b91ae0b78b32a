"""The stages that make a network smaller: merging neurons, and pruning in rounds with retraining between them."""

from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError
from compress.graph import Graph, graph_of_module, graph_of_network
from compress.names import known_layers
from compress.networks import Network, describe
from compress.networks.module import build_module
from compress.networks.weights import coded_parameters, load_weights_, weights_of
from compress.prune import CRITERIA, Context
from compress.prune.channels import ChannelGroup, channel_masks, find_channels, remove_channels_, score_channels
from compress.prune.choice import choose_filters, choose_weights
from compress.prune.merge import merge_neurons, merge_point, most_similar
from compress.prune.structure import filter_masks, remove_filters
from compress.recipe.recipe import Recipe
from compress.training.constraints import Masks
from compress.training.epochs import gradients, gram
from compress.training.optimisers import learning_rate_factor
from compress.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Pruner"]

_GRADIENT_BATCHES = 100
"""Batches over which `taylor` takes its gradient; on fewer, all."""

_TOLERANCE = 1e-4


class Pruner:
    """A network on its way to a smaller one.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place, and exchanged for another where layers shrink.
    graph : Graph
        Of the module.
    recipe : Recipe
    trainer : Trainer

    Attributes
    ----------
    module, graph
        As they are by now.
    coded : tuple of str
        The weights that are pruned, in the graph's order.
    masks : dict of str to bool
        Weight → True where it stays.

    Raises
    ------
    UnsupportedError
        The module has no linear or convolution layer, or its channels cannot be removed.
    UsageError
        The recipe names a layer that the network has not, or whose filters are not ranked on their own.
    """

    def __init__(self, module: "nn.Module", graph: Graph, recipe: Recipe, trainer: Trainer) -> None:
        self.module, self.graph, self._recipe, self._trainer = module, graph, recipe, trainer
        self._network = describe(graph.zoo) if graph.zoo is not None else None
        self.coded = coded_parameters(module, graph)
        self._groups: tuple[ChannelGroup, ...] = ()
        self._check_layers()
        self._generator = np.random.default_rng(recipe.seed)
        self.masks = self._unpruned()
        self._filters: dict[str, NDArray[np.bool_]] = {}

    def prune(self) -> None:
        """Prune in rounds to what the recipe asks for, and retrain after each; after the last one filters leave."""
        recipe = self._recipe
        cuts = recipe.cut_epochs()
        if cuts and cuts[0]:
            self._retrain("prune 0", cuts[0])
        for number, epoch in enumerate(cuts):
            self._choose(number)
            self._trainer.observer.note("prune", f"round {number + 1}/{len(cuts)}: {self._pruned_text()}")
            if number + 1 < len(cuts):
                self._retrain(f"prune {number + 1}", cuts[number + 1] - epoch)
        if cuts:
            if CRITERIA[recipe.criterion].removes:
                self._remove()
            self._retrain(
                "retrain", recipe.retrain_epochs, rate=learning_rate_factor(recipe.annealing, recipe.rate_decay)
            )

    def merge(self) -> None:
        """Merge the most alike neurons of one layer, one at a time, and retrain after each.

        Raises
        ------
        UnsupportedError
            The network is not of the zoo.
        UsageError
            The layer is not one that so many neurons can be merged in.
        """
        recipe = self._recipe
        network = self._network
        if network is None:
            raise UnsupportedError("merge-layer: found a network that is not of the zoo, allowed those of the zoo only")
        merge_point(network, recipe.merge_layer, recipe.merge_neurons)
        for number in range(1, recipe.merge_neurons + 1):
            read_from = merge_point(network, recipe.merge_layer)
            first, second, cosine = most_similar(gram(self.module, read_from, self._trainer.examples).cpu().numpy())
            self._trainer.observer.note(
                "merge", f"{number}/{recipe.merge_neurons}: neurons {first} and {second}, cosine {cosine:.4f}"
            )
            network, weights = merge_neurons(
                network, weights_of(self.module, self.graph), recipe.merge_layer, first, second
            )
            self._rebuild(network, weights)
            self._retrain(f"merge {number}", recipe.merge_epochs)

    def _check_layers(self) -> None:
        """Find the groups of channels, and raise `UsageError` where the recipe names a layer that it cannot mean."""
        criterion = CRITERIA[self._recipe.criterion]
        if criterion.removes and self._network is None and self._recipe.cut_epochs():
            self._groups = find_channels(self.module, self._example, self.coded)
        pruned = self.coded if criterion.unit == "weight" else self.coded[:-1]
        pruned = tuple(group.name for group in self._groups) or pruned
        for field, names in (("bits", self.coded), ("layer_sparsity", pruned), ("quality", self.coded)):
            known_layers(field.replace("_", "-"), getattr(self._recipe, field), names)

    def _retrain(self, stage: str, epochs: int, rate: Callable[[int, int], float] | None = None) -> None:
        self._trainer.fit(
            self.module,
            stage,
            epochs,
            self._recipe.retrain_learning_rate,
            rate=rate,
            constraint=self._under_masks(),
        )

    def _choose(self, number: int) -> None:
        """Score what is left, and set the masks of this round."""
        criterion = CRITERIA[self._recipe.criterion]
        weights = weights_of(self.module, self.graph)
        context = Context(
            weights={name: weights[name] for name in self.coded},
            gradients=cache(self._gradients),
            generator=self._generator,
        )
        if criterion.unit == "weight":
            scores = {name: _left(criterion.score(context, name), self.masks[name]) for name in self.coded}
            self.masks = choose_weights(self._recipe, number, scores, self._unpruned())
            return
        if self._groups:
            scores = score_channels(self._groups, lambda name: criterion.score(context, name))
        else:
            scores = {name: criterion.score(context, name) for name in self.coded[:-1]}
        scores |= {name: _left(scores[name], kept) for name, kept in self._filters.items()}
        self._filters = choose_filters(self._recipe, number, scores, self.graph.parameters)
        rows = self._filter_masks()
        self.masks = {name: mask & rows.get(name, True) for name, mask in self._unpruned().items()}

    def _gradients(self) -> dict[str, NDArray[np.float32]]:
        found = gradients(self.module, self._trainer.examples, _GRADIENT_BATCHES)
        return {name: found[name].cpu().numpy() for name in self.coded}

    def _pruned_text(self) -> str:
        present = sum(int(np.count_nonzero(mask)) for mask in self._unpruned().values())
        kept = sum(int(np.count_nonzero(mask)) for mask in self.masks.values())
        text = f"sparsity {1 - kept / present:.4f}"
        if self._filters:
            gone = sum(int(np.count_nonzero(~kept)) for kept in self._filters.values())
            text += f", {gone} of {sum(kept.size for kept in self._filters.values())} filters"
        return text

    def _remove(self) -> None:
        """Take the pruned filters out of the network."""
        self._under_masks()
        if self._network is not None:
            kept = _by_layer(self._filters)
            self._rebuild(*remove_filters(self._network, weights_of(self.module, self.graph), kept))
            return
        change = remove_channels_(self.module, self._example, self._groups, self._filters)
        if change > _TOLERANCE:
            self._trainer.observer.note("prune", f"removing the channels changes the outputs by {change:.2g}")
        self.graph = graph_of_module(self.module, self._example)
        self._groups, self._filters = (), {}
        self.masks = self._unpruned()

    def _rebuild(self, network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Go on with another network."""
        device = next(self.module.parameters()).device
        self._network, self.graph, self._filters = network, graph_of_network(network), {}
        self.module = build_module(network).to(device)
        load_weights_(self.module, weights, self.graph.parameters)
        self.masks = self._unpruned()

    def _unpruned(self) -> dict[str, NDArray[np.bool_]]:
        """Masks with every weight that the network has: all but those that its description fixes at zero."""
        fixed = self._network.fixed_masks() if self._network else {}
        return {name: fixed.get(name, np.ones(self.graph.parameters[name], np.bool_)) for name in self.coded}

    def _under_masks(self) -> Masks:
        """What retraining keeps true: pruned weights stay zero, and so does all else of a pruned filter."""
        import torch

        masks = {**self._filter_masks(), **self.masks}
        return Masks(self.module, {name: torch.from_numpy(mask) for name, mask in masks.items()})

    def _filter_masks(self) -> dict[str, NDArray[np.bool_]]:
        """Masks of every parameter that makes up a pruned filter; none before the first cut."""
        if not self._filters:
            return {}
        if self._network is not None:
            return filter_masks(self._network, _by_layer(self._filters))
        shapes = self.graph.parameters
        if self._groups:
            return channel_masks(self._groups, self._filters, shapes)
        masks = {}
        for layer, kept in _by_layer(self._filters).items():
            for name in (f"{layer}.weight", f"{layer}.bias"):
                if name in shapes:
                    masks[name] = np.broadcast_to(kept.reshape(-1, *[1] * (len(shapes[name]) - 1)), shapes[name]).copy()
        return masks

    @cached_property
    def _example(self) -> "Tensor":
        """Inputs to trace the module with."""
        inputs: Tensor = next(iter(self._trainer.examples))[0]
        return inputs[:2].to(next(self.module.parameters()).device)


def _by_layer(filters: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    return {name.removesuffix(".weight"): kept for name, kept in filters.items()}


def _left(scores: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The scores, minus infinity where pruned already."""
    return np.where(kept, scores, np.float32(-np.inf))
