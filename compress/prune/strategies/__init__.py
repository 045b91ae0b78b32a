"""Kinds of pruning: one table says which one a criterion takes to which network."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from compress.networks.traced import TracedModule
from compress.prune import CRITERIA
from compress.prune.strategies.chain import ChainFilters, RemovedFilters
from compress.prune.strategies.filters import Filters
from compress.prune.strategies.groups import RemovedChannels
from compress.prune.strategies.strategy import Kept, Strategy
from compress.prune.strategies.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

    from compress.recipe.recipe import Recipe

    Build = Callable[[TracedModule, Callable[[], Tensor]], Strategy]

__all__ = ["STRATEGIES", "Kept", "Strategy", "choose_strategy"]

STRATEGIES: "Mapping[tuple[str, bool, bool], Build]" = MappingProxyType(
    {
        ("weight", False, True): lambda traced, example: Weights(),
        ("weight", False, False): lambda traced, example: Weights(),
        ("filter", False, True): lambda traced, example: ChainFilters(),
        ("filter", False, False): lambda traced, example: Filters(),
        ("filter", True, True): lambda traced, example: RemovedFilters(),
        ("filter", True, False): lambda traced, example: RemovedChannels(traced, example()),
    }
)
"""The criterion's unit, whether it leaves the network, whether that is a chain of our layers → the kind of pruning."""


def choose_strategy(recipe: "Recipe", traced: TracedModule, example: "Callable[[], Tensor]") -> Strategy:
    """The kind of pruning that a recipe asks for.

    Parameters
    ----------
    recipe : Recipe
    traced : TracedModule
    example : callable
        Gives inputs to trace the module with; called where that is needed.

    Raises
    ------
    UnsupportedError
        Channels are to leave a module that they cannot be taken out of.
    """
    if not recipe.pruning.cut_epochs():
        return Weights()  # nothing is pruned, so that nothing need be found that could be
    criterion = CRITERIA[recipe.pruning.criterion]
    return STRATEGIES[criterion.unit, criterion.removes, traced.network is not None](traced, example)
