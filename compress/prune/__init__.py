"""Pruning: criteria that score weights, schedules that say when how many go, and the exact selection between them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from compress.prune import filter_norm, layer_std, magnitude, random, schedules, similarity, taylor
from compress.prune.criterion import Criterion

__all__ = ["CRITERIA", "SCHEDULES"]

CRITERIA: Mapping[str, Criterion] = MappingProxyType(
    {
        "l1": Criterion(summary="magnitude of a weight", score=magnitude.l1),
        "l2": Criterion(summary="square of a weight", score=magnitude.l2),
        "taylor": Criterion(summary="|weight · gradient|", score=taylor.score),
        "layer-std": Criterion(summary="magnitude over the layer's standard deviation", score=layer_std.score),
        "random": Criterion(summary="chance, the control", score=random.score),
        "filter-l1": Criterion(summary="mean magnitude of a filter, masked", score=filter_norm.l1, unit="filter"),
        "filter-l2": Criterion(summary="root mean square of a filter, masked", score=filter_norm.l2, unit="filter"),
        "channel-l1": Criterion(
            summary="mean magnitude of a filter, removed from the network",
            score=filter_norm.l1,
            unit="filter",
            removes=True,
        ),
        "channel-l2": Criterion(
            summary="root mean square of a filter, removed from the network",
            score=filter_norm.l2,
            unit="filter",
            removes=True,
        ),
        "neuron-similarity": Criterion(
            summary="distance to the most similar filter (cosine), removed from the network",
            score=similarity.score,
            unit="filter",
            removes=True,
        ),
    }
)
"""Name of a criterion → what it scores, and how."""

SCHEDULES: Mapping[str, Callable[[float, int], tuple[float, ...]]] = MappingProxyType(
    {
        "iterative": schedules.iterative,
        "incremental": schedules.incremental,
        "cubic": schedules.cubic,
        "one-shot": schedules.one_shot,
    }
)
"""Name of a schedule → the function from final sparsity and number of rounds to the sparsity after every round."""
