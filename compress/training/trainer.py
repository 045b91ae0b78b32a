"""The training of one run: its examples, its optimiser, and the record of every epoch."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from compress.observer import Observer
from compress.recipe.recipe import Recipe
from compress.training.constraints import Constraint
from compress.training.epochs import EpochRecord, fit
from compress.training.optimisers import OPTIMISERS

if TYPE_CHECKING:
    from torch import Tensor, nn

    Loader = Iterable[tuple[Tensor, Tensor]]

__all__ = ["Trainer"]

_TUNE_MOMENTUM = 0.9


class Trainer:
    """What the fits of one run have in common.

    Parameters
    ----------
    recipe : Recipe
        Its optimiser, momentum and weight decay hold for every fit but that of shared weights.
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

    def fit(
        self,
        module: "nn.Module",
        stage: str,
        epochs: int,
        learning_rate: float,
        *,
        shared: bool = False,
        rate: Callable[[int, int], float] | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        """Train a module in place.

        Parameters
        ----------
        module : torch.nn.Module
        stage : str
        epochs : int
        learning_rate : float
            The highest one.
        shared : bool
            What moves are centroids: Nesterov's momentum, no weight decay.
        rate, constraint
            See `training.fit`.
        """
        recipe = self.recipe
        build = OPTIMISERS["nesterov" if shared else recipe.optimiser]
        momentum, decay = (_TUNE_MOMENTUM, 0.0) if shared else (recipe.momentum, recipe.weight_decay)
        self.history += fit(
            module,
            self.examples,
            stage=stage,
            epochs=epochs,
            optimiser=lambda parameters: build(parameters, learning_rate, momentum, decay),
            rate=rate,
            constraint=constraint,
            held_out=self.held_out,
            observer=self.observer,
        )
