"""What one round of pruning keeps: from a criterion's scores to masks, by the schedule, scope, pattern or quality."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.prune import SCHEDULES
from compress.prune.selection import select_above, select_each, select_globally, select_pattern

if TYPE_CHECKING:
    from compress.recipe.recipe import Recipe

__all__ = ["choose_filters", "choose_weights"]

_ROUNDING = 1e-9


def choose_weights(
    recipe: "Recipe",
    number: int,
    scores: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.bool_]],
) -> dict[str, NDArray[np.bool_]]:
    """The weights that stay after round `number`, counted from zero.

    Parameters
    ----------
    recipe : Recipe
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
    if recipe.quality:
        part = (number + 1) / len(recipe.cut_epochs())
        thresholds = {name: part * recipe.quality_of(name, array.shape) for name, array in scores.items()}
        return select_above(scores, thresholds)
    if recipe.pattern:
        kept, group = recipe.pattern_counts()
        kept = max(kept, math.ceil(group * (1 - _reached(recipe, recipe.sparsity, number)) - _ROUNDING))
        return {name: select_pattern(array, kept, group) & present[name] for name, array in scores.items()}
    shapes = {name: array.shape for name, array in scores.items()}
    chosen = _select(recipe, number, {name: array[present[name]] for name, array in scores.items()}, shapes)
    masks = {name: array.copy() for name, array in present.items()}
    for name, mask in masks.items():
        mask[mask] = chosen[name]
    return masks


def choose_filters(
    recipe: "Recipe",
    number: int,
    scores: Mapping[str, NDArray[np.float32]],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, NDArray[np.bool_]]:
    """The filters that stay after round `number`, counted from zero.

    The best of every layer always does, so more stay than the sparsity asks for where it asks for fewer than layers.

    Parameters
    ----------
    recipe : Recipe
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
    chosen = _select(recipe, number, sure, shapes)
    for name, kept in chosen.items():
        kept[best[name]] = True
    return chosen


def _select(
    recipe: "Recipe", number: int, scores: Mapping[str, NDArray[np.float32]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.bool_]]:
    if recipe.scope == "global":
        return select_globally(scores, _reached(recipe, recipe.sparsity, number))
    final = {name: recipe.sparsity_of(name, shapes[name]) for name in scores}
    return select_each(scores, {name: _reached(recipe, sparsity, number) for name, sparsity in final.items()})


def _reached(recipe: "Recipe", sparsity: float, number: int) -> float:
    """Sparsity after a round on the way to the one that is asked for."""
    return SCHEDULES[recipe.schedule](sparsity, len(recipe.cut_epochs()))[number]
