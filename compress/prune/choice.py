"""What one round of pruning keeps: from a criterion's scores to masks, by the schedule, scope, pattern or quality."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.prune import SCHEDULES
from compress.prune.selection import select_above, select_each, select_globally, select_pattern

if TYPE_CHECKING:
    from compress.recipe.pruning import Pruning

__all__ = ["choose_filters", "choose_weights"]

_ROUNDING = 1e-9
"""What N of M may be off by when it comes from a sparsity that is a double, so that no further weight is kept."""


def choose_weights(
    pruning: "Pruning",
    number: int,
    scores: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.bool_]],
) -> dict[str, NDArray[np.bool_]]:
    """The weights that stay after round `number`, counted from zero.

    Parameters
    ----------
    pruning : Pruning
    number : int
    scores : mapping of str to float32
        Score of every weight; minus infinity where it is pruned already.
    present : mapping of str to bool
        Which weights are part of the network; no sparsity counts the others.

    Returns
    -------
    dict of str to bool
        Masks for the sparsity of this round, or for its part of the quality.
    """
    if pruning.quality:
        part = (number + 1) / len(pruning.cut_epochs())
        thresholds = {name: part * pruning.quality_of(name, array.shape) for name, array in scores.items()}
        return select_above(scores, thresholds)
    if pruning.pattern:
        kept, group = pruning.pattern_counts()
        kept = max(kept, math.ceil(group * (1 - _reached(pruning, pruning.sparsity, number)) - _ROUNDING))
        return {name: select_pattern(array, kept, group) & present[name] for name, array in scores.items()}
    shapes = {name: array.shape for name, array in scores.items()}
    chosen = _select(pruning, number, {name: array[present[name]] for name, array in scores.items()}, shapes)
    masks = {name: array.copy() for name, array in present.items()}
    for name, mask in masks.items():
        mask[mask] = chosen[name]
    return masks


def choose_filters(
    pruning: "Pruning",
    number: int,
    scores: Mapping[str, NDArray[np.float32]],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, NDArray[np.bool_]]:
    """The filters that stay after round `number`, counted from zero.

    The best of every layer always does, so more stay than the sparsity asks for where it asks for fewer than layers.

    Parameters
    ----------
    pruning : Pruning
    number : int
    scores : mapping of str to float32 [filters]
        Name of a weight → the score of its filters; minus infinity where one is pruned already.
    shapes : mapping of str to tuple of int
        Of these weights.

    Returns
    -------
    dict of str to bool [filters]
    """
    best = {name: int(np.argmax(array)) for name, array in scores.items()}
    sure = {name: array.copy() for name, array in scores.items()}
    for name, array in sure.items():
        array[best[name]] = np.inf
    chosen = _select(pruning, number, sure, shapes)
    for name, kept in chosen.items():
        kept[best[name]] = True
    return chosen


def _select(
    pruning: "Pruning", number: int, scores: Mapping[str, NDArray[np.float32]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.bool_]]:
    if pruning.scope == "global":
        return select_globally(scores, _reached(pruning, pruning.sparsity, number))
    final = {name: pruning.sparsity_of(name, shapes[name]) for name in scores}
    return select_each(scores, {name: _reached(pruning, sparsity, number) for name, sparsity in final.items()})


def _reached(pruning: "Pruning", sparsity: float, number: int) -> float:
    """Sparsity after a round on the way to the one that is asked for."""
    return SCHEDULES[pruning.schedule](sparsity, len(pruning.cut_epochs()))[number]
