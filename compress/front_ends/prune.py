"""The stage that prunes: rounds of scoring and cutting, with retraining after each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.names import known_layers
from compress.networks.traced import TracedModule
from compress.prune import CRITERIA
from compress.prune.criterion import Context
from compress.prune.strategies import Strategy
from compress.recipe.recipe import Recipe
from compress.training.epochs import gradients
from compress.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Pruned", "check_layers", "prune_"]

_GRADIENT_BATCHES = 100
"""Batches over which `taylor` takes its gradient; on fewer, all. It bounds the time of a round on large data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """A pruned network.

    Parameters
    ----------
    traced : TracedModule
    masks : mapping of str to bool
        Coded weight → True where it stays.
    """

    traced: TracedModule
    masks: Mapping[str, NDArray[np.bool_]]

    @property
    def module(self) -> "nn.Module":
        return self.traced.module


def check_layers(recipe: Recipe, traced: TracedModule, strategy: Strategy) -> None:
    """Raise `UsageError` where a recipe names a layer that the network has not, or that is not ranked on its own."""
    known_layers("bits", recipe.sharing.bits, traced.coded)
    known_layers("layer-sparsity", recipe.pruning.layer_sparsity, strategy.ranked(traced))
    known_layers("quality", recipe.pruning.quality, traced.coded)


def prune_(traced: TracedModule, recipe: Recipe, strategy: Strategy, trainer: Trainer) -> Pruned:
    """Prune in rounds to what the recipe asks for, and retrain after each; after the last one filters may leave.

    Parameters
    ----------
    traced : TracedModule
        Its module is trained in place.
    recipe : Recipe
    strategy : Strategy
        Chosen for this network, or for the one it was before neurons were merged.
    trainer : Trainer

    Raises
    ------
    UnsupportedError
        Channels cannot be removed.
    CompressError
        Training diverges.
    """
    score, generator = CRITERIA[recipe.pruning.criterion].score, np.random.default_rng(recipe.seed)
    cuts = recipe.pruning.cut_epochs()
    kept = strategy.everything(traced)
    masks = strategy.masks(traced, kept)
    if cuts and cuts[0]:
        trainer.retrain_(traced.module, "prune 0", cuts[0], masks)
    for number, epoch in enumerate(cuts):
        context = _context(traced, trainer, generator)
        scores = {
            name: np.where(kept[name], array, np.float32(-np.inf))
            for name, array in strategy.scores(traced, partial(score, context)).items()
        }
        kept = strategy.choose(recipe.pruning, number, scores, traced)
        masks = strategy.masks(traced, kept)
        text = f"sparsity {_sparsity(traced, masks):.4f}{strategy.describe(kept)}"
        trainer.observer.note("prune", f"round {number + 1}/{len(cuts)}: {text}")
        if number + 1 < len(cuts):
            trainer.retrain_(traced.module, f"prune {number + 1}", cuts[number + 1] - epoch, masks)
    if cuts:
        trainer.under_masks_(traced.module, masks)
        traced, masks = strategy.leave(traced, kept, partial(trainer.observer.note, "prune"))
        trainer.retrain_(traced.module, "retrain", recipe.pruning.retrain_epochs, masks, anneal=True)
    return Pruned(traced=traced, masks={name: masks[name] for name in traced.coded})


def _context(traced: TracedModule, trainer: Trainer, generator: np.random.Generator) -> Context:
    def found() -> dict[str, NDArray[np.float32]]:
        tensors = gradients(traced.module, trainer.examples, _GRADIENT_BATCHES)
        return {name: tensors[name].cpu().numpy() for name in traced.coded}

    weights = traced.weights()
    return Context(weights={name: weights[name] for name in traced.coded}, gradients=cache(found), generator=generator)


def _sparsity(traced: TracedModule, masks: Mapping[str, NDArray[np.bool_]]) -> float:
    present = sum(int(np.count_nonzero(mask)) for mask in traced.present().values())
    return 1 - sum(int(np.count_nonzero(masks[name])) for name in traced.coded) / present
