"""The fits of one run: dense training, retraining under masks, tuning of centroids; and the record of every epoch."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.observer import Observer
from compress.recipe.recipe import Recipe
from compress.training.constraints import Constraint, Masks, SharedWeights
from compress.training.epochs import EpochRecord, fit
from compress.training.optimisers import OPTIMISERS, learning_rate_factor

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    Loader = Iterable[tuple[Tensor, Tensor]]

__all__ = ["Trainer"]

_TUNE_MOMENTUM = 0.9
"""The usual one: centroids move by it whatever the recipe trains with, at a rate of their own."""


class Trainer:
    """What the fits of one run have in common.

    Parameters
    ----------
    recipe : Recipe
        Its optimiser, momentum and weight decay hold for training and retraining.
    examples : iterable of (inputs, labels)
        Passed over once an epoch.
    held_out : iterable of (inputs, labels), optional
        Measured after every epoch.
    observer : Observer

    Attributes
    ----------
    history : list of EpochRecord
        Of all fits so far.
    """

    def __init__(self, recipe: Recipe, examples: "Loader", held_out: "Loader | None", observer: Observer) -> None:
        self.recipe, self.examples, self.held_out, self.observer = recipe, examples, held_out, observer
        self.history: list[EpochRecord] = []

    def train_(self, module: "nn.Module") -> None:
        """Train a dense network."""
        training = self.recipe.training
        rate = learning_rate_factor(training.annealing, training.rate_decay, warm_up=training.warm_up)
        self._fit_(module, "train", training.epochs, self._as_asked(training.learning_rate), rate)

    def retrain_(
        self,
        module: "nn.Module",
        stage: str,
        epochs: int,
        masks: Mapping[str, NDArray[np.bool_]],
        *,
        anneal: bool = False,
    ) -> None:
        """Train what is left of a network.

        Parameters
        ----------
        module : torch.nn.Module
        stage : str
        epochs : int
        masks : mapping of str to bool
            Parameter → True where it stays; it is zero elsewhere, from before the first step on.
        anneal : bool
            Let the learning rate fall as the recipe says, in place of one that stays.
        """
        training = self.recipe.training
        rate = learning_rate_factor(training.annealing, training.rate_decay) if anneal else None
        optimiser = self._as_asked(self.recipe.pruning.retrain_learning_rate)
        self._fit_(module, stage, epochs, optimiser, rate, self.under_masks_(module, masks))

    def tune_(self, module: "nn.Module", shared: SharedWeights) -> None:
        """Train the centroids of shared weights, and all that is not shared; without weight decay."""
        sharing = self.recipe.sharing
        self._fit_(
            module,
            "tune",
            sharing.tune_epochs,
            lambda moved: OPTIMISERS["nesterov"](moved, sharing.tune_learning_rate, _TUNE_MOMENTUM, 0.0),
            learning_rate_factor("cosine"),
            shared,
        )

    @staticmethod
    def under_masks_(module: "nn.Module", masks: Mapping[str, NDArray[np.bool_]]) -> Masks:
        """Make pruned weights zero; what is returned keeps them so."""
        from torch import from_numpy

        return Masks(module, {name: from_numpy(mask) for name, mask in masks.items()})

    def _as_asked(self, learning_rate: float) -> "Callable[[list[Tensor]], Optimizer]":
        training = self.recipe.training
        build = OPTIMISERS[training.optimiser]
        return lambda moved: build(moved, learning_rate, training.momentum, training.weight_decay)

    def _fit_(
        self,
        module: "nn.Module",
        stage: str,
        epochs: int,
        optimiser: "Callable[[list[Tensor]], Optimizer]",
        rate: Callable[[int, int], float] | None,
        constraint: Constraint | None = None,
    ) -> None:
        self.history += fit(
            module,
            self.examples,
            stage=stage,
            epochs=epochs,
            optimiser=optimiser,
            rate=rate,
            constraint=constraint,
            held_out=self.held_out,
            observer=self.observer,
        )
