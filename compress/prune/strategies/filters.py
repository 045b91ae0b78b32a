"""Filters go, in any module: their weights and biases become zero, and the network keeps its shape."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.networks.traced import TracedModule
from compress.prune.choice import choose_filters
from compress.prune.strategies.strategy import Kept

if TYPE_CHECKING:
    from compress.recipe.pruning import Pruning

__all__ = ["Filters", "by_layer"]


class Filters:
    """A unit is a filter; those of the last layer are the classes, and stay."""

    def ranked(self, traced: TracedModule) -> tuple[str, ...]:
        return traced.coded[:-1]

    def everything(self, traced: TracedModule) -> Kept:
        return {name: np.ones(traced.graph.parameters[name][0], np.bool_) for name in self.ranked(traced)}

    def scores(
        self, traced: TracedModule, score: Callable[[str], NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        return {name: score(name) for name in self.ranked(traced)}

    def choose(
        self, pruning: "Pruning", number: int, scores: Mapping[str, NDArray[np.float32]], traced: TracedModule
    ) -> Kept:
        return choose_filters(pruning, number, scores, traced.graph.parameters)

    def masks(self, traced: TracedModule, kept: Kept) -> dict[str, NDArray[np.bool_]]:
        parts = self.parts(traced, kept)
        return {**parts, **{name: mask & parts.get(name, True) for name, mask in traced.present().items()}}

    def parts(self, traced: TracedModule, kept: Kept) -> dict[str, NDArray[np.bool_]]:
        """Masks of every parameter that filters are made of."""
        shapes = traced.graph.parameters
        found = {}
        for layer, rows in by_layer(kept).items():
            for name in (f"{layer}.weight", f"{layer}.bias"):
                if name in shapes:
                    column = rows.reshape(-1, *[1] * (len(shapes[name]) - 1))
                    found[name] = np.broadcast_to(column, shapes[name]).copy()
        return found

    def describe(self, kept: Kept) -> str:
        gone = sum(int(np.count_nonzero(~rows)) for rows in kept.values())
        return f", {gone} of {sum(rows.size for rows in kept.values())} filters"

    def leave(
        self, traced: TracedModule, kept: Kept, note: Callable[[str], None]
    ) -> tuple[TracedModule, dict[str, NDArray[np.bool_]]]:
        return traced, self.masks(traced, kept)


def by_layer(kept: Kept) -> dict[str, NDArray[np.bool_]]:
    """Name of a layer, in place of its weight → which of its filters stay."""
    return {name.removesuffix(".weight"): rows for name, rows in kept.items()}
