"""Channels leave any module, together from all layers that they tie: torch-pruning finds which."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.graph import graph_of_module
from compress.networks.traced import TracedModule, trace
from compress.prune.channels import channel_masks, find_channels, remove_channels_, score_channels
from compress.prune.strategies.filters import Filters
from compress.prune.strategies.strategy import Kept

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RemovedChannels"]

_NOTED_CHANGE = 1e-4
"""Part of the largest output: a change above it is told. Rounding in float32 (6e-8 a sum) stays below it."""


class RemovedChannels(Filters):
    """A unit is a channel of a group, see `channels.ChannelGroup`; it is masked first, and leaves after the last round.

    Parameters
    ----------
    traced : TracedModule
    example : tensor [batch, ...]
        Inputs to trace the module with.

    Raises
    ------
    UnsupportedError
        torch-pruning is not installed or cannot trace the module, or no channel can go.
    """

    def __init__(self, traced: TracedModule, example: "Tensor") -> None:
        self._example = example
        self._groups = find_channels(traced.module, example, traced.coded)

    def ranked(self, traced: TracedModule) -> tuple[str, ...]:
        return tuple(group.name for group in self._groups)

    def everything(self, traced: TracedModule) -> Kept:
        return {group.name: np.ones(group.size, np.bool_) for group in self._groups}

    def scores(
        self, traced: TracedModule, score: Callable[[str], NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        return score_channels(self._groups, score)

    def parts(self, traced: TracedModule, kept: Kept) -> dict[str, NDArray[np.bool_]]:
        return channel_masks(self._groups, kept, traced.graph.parameters)

    def leave(
        self, traced: TracedModule, kept: Kept, note: Callable[[str], None]
    ) -> tuple[TracedModule, dict[str, NDArray[np.bool_]]]:
        change = remove_channels_(traced.module, self._example, self._groups, kept)
        if change > _NOTED_CHANGE:
            note(f"removing the channels changes the outputs by {change:.2g}")
        smaller = trace(traced.module, graph_of_module(traced.module, self._example))
        return smaller, smaller.present()
