"""What a kind of pruning must say: what goes as one, what goes with it, and what is left of the network."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from compress.networks.traced import TracedModule

if TYPE_CHECKING:
    from compress.recipe.pruning import Pruning

__all__ = ["Kept", "Strategy"]

Kept = Mapping[str, NDArray[np.bool_]]
"""Name of a weight → which of its units stay: single weights, or filters."""


class Strategy(Protocol):
    """A kind of pruning. It keeps nothing of the rounds, and never trains."""

    def ranked(self, traced: TracedModule) -> tuple[str, ...]:
        """The weights whose units are ranked; a recipe may give them a sparsity of their own."""
        ...

    def everything(self, traced: TracedModule) -> Kept:
        """What stays before the first cut."""
        ...

    def scores(
        self, traced: TracedModule, score: Callable[[str], NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        """The score of every unit, from the function that gives a criterion's scores of a weight."""
        ...

    def choose(
        self, pruning: "Pruning", number: int, scores: Mapping[str, NDArray[np.float32]], traced: TracedModule
    ) -> Kept:
        """What stays after round `number`, counted from zero; minus infinity is the score of what is gone already."""
        ...

    def masks(self, traced: TracedModule, kept: Kept) -> dict[str, NDArray[np.bool_]]:
        """Masks of all coded weights, and of all other parameters that a pruned unit is made of."""
        ...

    def describe(self, kept: Kept) -> str:
        """What a line about a round says beside the sparsity; may be empty."""
        ...

    def leave(
        self, traced: TracedModule, kept: Kept, note: Callable[[str], None]
    ) -> tuple[TracedModule, dict[str, NDArray[np.bool_]]]:
        """The network after the last cut, with its masks.

        Parameters
        ----------
        traced : TracedModule
            Its weights are under their masks. Its module may be changed.
        kept : Kept
        note : callable
            Takes a line for the user.
        """
        ...
