"""Filters go, in a chain of our layers, with scale and shift of the batch norm behind them; masked, or for good."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from compress.networks import Network
from compress.networks.traced import TracedModule, rebuilt
from compress.prune.strategies.filters import Filters, by_layer
from compress.prune.strategies.strategy import Kept
from compress.prune.structure import filter_masks, remove_filters

__all__ = ["ChainFilters", "RemovedFilters"]


class ChainFilters(Filters):
    """Filters are masked; see `structure.filter_masks`."""

    def parts(self, traced: TracedModule, kept: Kept) -> dict[str, NDArray[np.bool_]]:
        return filter_masks(_chain(traced), by_layer(kept))


class RemovedFilters(ChainFilters):
    """Filters are masked while there are rounds, and leave the network after the last one."""

    def leave(
        self, traced: TracedModule, kept: Kept, note: Callable[[str], None]
    ) -> tuple[TracedModule, dict[str, NDArray[np.bool_]]]:
        smaller = rebuilt(traced, *remove_filters(_chain(traced), traced.weights(), by_layer(kept)))
        return smaller, smaller.present()


def _chain(traced: TracedModule) -> Network:
    assert traced.network is not None
    return traced.network
