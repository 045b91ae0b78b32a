"""Which weights stay: an exact count of the highest scores, over one tensor or over all of them."""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SCOPES",
    "count_kept",
    "keep_highest",
    "select_above",
    "select_each",
    "select_globally",
    "select_pattern",
]

SCOPES = ("global", "uniform", "per-layer")
"""Over what the scores are ranked: all layers together, each alone to one sparsity, each alone to its own."""


def count_kept(size: int, sparsity: float) -> int:
    """How many of `size` weights stay at a sparsity in [0, 1): the nearest whole number, halves upwards, at least one.

    The sparsity is read as the decimal number it prints as, so that 0.9 is nine tenths.

    >>> count_kept(61_470, 0.9), count_kept(10, 0.55), count_kept(3, 0.999), count_kept(0, 0.5)
    (6147, 5, 1, 0)
    """
    kept = int(size * (1 - Fraction(str(sparsity))) + Fraction(1, 2))
    return min(size, max(1, kept))


def keep_highest(scores: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """Mark the `count` highest of one-dimensional scores; of equal scores, those that stand first.

    >>> keep_highest(np.float32([1, 3, 2, 3, 2]), 3)
    array([False,  True,  True,  True, False])
    """
    kept = np.zeros(scores.size, dtype=np.bool_)
    if count <= 0:
        return kept
    if count >= scores.size:
        return ~kept
    threshold = np.partition(scores, scores.size - count)[scores.size - count]
    kept[scores > threshold] = True
    ties = np.flatnonzero(scores == threshold)
    kept[ties[: count - int(np.count_nonzero(kept))]] = True
    return kept


def select_globally(scores: Mapping[str, NDArray[np.float32]], sparsity: float) -> dict[str, NDArray[np.bool_]]:
    """Rank all weights of all tensors together and keep exactly `count_kept` of them.

    Parameters
    ----------
    scores : mapping of str to float32
        Score of every weight, any shapes; equal scores fall in the order of the mapping, then row-major.
    sparsity : float
        Fraction of all weights that is pruned, in [0, 1).

    Returns
    -------
    dict of str to bool
        Masks of the same shapes, True where a weight stays.
    """
    if not scores:
        return {}
    flat = np.concatenate([array.ravel() for array in scores.values()])
    kept = keep_highest(flat, count_kept(flat.size, sparsity))
    ends = np.cumsum([array.size for array in scores.values()])[:-1]
    return {
        name: part.reshape(array.shape)
        for (name, array), part in zip(scores.items(), np.split(kept, ends), strict=True)
    }


def select_each(
    scores: Mapping[str, NDArray[np.float32]], sparsities: Mapping[str, float]
) -> dict[str, NDArray[np.bool_]]:
    """Rank every tensor on its own and keep exactly `count_kept` of it, by its own sparsity."""
    return {name: select_globally({name: array}, sparsities[name])[name] for name, array in scores.items()}


def select_above(
    scores: Mapping[str, NDArray[np.float32]], thresholds: Mapping[str, float]
) -> dict[str, NDArray[np.bool_]]:
    """Keep what scores above its tensor's threshold: the sparsity is what results."""
    return {name: array > np.float32(thresholds[name]) for name, array in scores.items()}


def select_pattern(scores: NDArray[np.float32], kept: int, group: int) -> NDArray[np.bool_]:
    """Keep the `kept` highest scores of every `group` neighbours in a row (N:M sparsity).

    Mishra et al.: Accelerating sparse deep neural networks (2021), section 3.1, where 2 of 4 are kept.

    Parameters
    ----------
    scores : float32 [rows, ...]
        The axes after the first are a row. The last group of a row may be shorter; it keeps as many.
    kept, group : int
        0 < kept <= group. Of equal scores, those that stand first stay.

    Returns
    -------
    bool, shape of `scores`

    Examples
    --------
    >>> select_pattern(np.float32([[4, 1, 2, 3, 9, 9, 9]]), 2, 4).astype(int)
    array([[1, 0, 0, 1, 1, 1, 0]])
    """
    rows = scores.reshape(scores.shape[0], -1)
    width = rows.shape[1]
    padded = np.pad(rows, ((0, 0), (0, -width % group)), constant_values=-np.inf)
    groups = padded.reshape(-1, group)
    order = np.argsort(-groups, axis=1, kind="stable")[:, :kept]
    mask = np.zeros(groups.shape, dtype=np.bool_)
    np.put_along_axis(mask, order, True, axis=1)
    return mask.reshape(padded.shape)[:, :width].reshape(scores.shape)
