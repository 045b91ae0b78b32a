"""Single weights go, and the network keeps its shape."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.networks.traced import TracedModule
from compress.prune.choice import choose_weights
from compress.prune.strategies.strategy import Kept

if TYPE_CHECKING:
    from compress.recipe.pruning import Pruning

__all__ = ["Weights"]


class Weights:
    """A unit is a weight, and what stays is the mask itself."""

    def ranked(self, traced: TracedModule) -> tuple[str, ...]:
        return traced.coded

    def everything(self, traced: TracedModule) -> Kept:
        return traced.present()

    def scores(
        self, traced: TracedModule, score: Callable[[str], NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        return {name: score(name) for name in traced.coded}

    def choose(
        self, pruning: "Pruning", number: int, scores: Mapping[str, NDArray[np.float32]], traced: TracedModule
    ) -> Kept:
        return choose_weights(pruning, number, scores, traced.present())

    def masks(self, traced: TracedModule, kept: Kept) -> dict[str, NDArray[np.bool_]]:
        return dict(kept)

    def describe(self, kept: Kept) -> str:
        return ""

    def leave(
        self, traced: TracedModule, kept: Kept, note: Callable[[str], None]
    ) -> tuple[TracedModule, dict[str, NDArray[np.bool_]]]:
        return traced, self.masks(traced, kept)
