"""Bits for every tensor: which width buys the most accuracy for the fewest bytes.

The classical allocation by marginal returns (Shoham, Gersho 1988): every tensor's
choices are reduced to the lower convex hull of damage over bytes, and the steps along
all hulls are taken in the order of damage saved per byte.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["upgrade_path"]


def upgrade_path(
    sizes: Sequence[NDArray[np.float64]], damages: Sequence[NDArray[np.float64]]
) -> list[tuple[tuple[int, ...], float]]:
    """All allocations worth having, from the smallest to the most accurate.

    Parameters
    ----------
    sizes, damages : sequence of float64 [choices]
        For every tensor the bytes of its choices, ascending, and how much each of them spoils the outputs.

    Returns
    -------
    list of (choices, bytes)
        Chosen index of every tensor, and the bytes of all together. The first takes the smallest choice everywhere.

    Examples
    --------
    >>> upgrade_path([np.array([1.0, 2.0]), np.array([1.0, 3.0])], [np.array([9.0, 1.0]), np.array([9.0, 0.0])])
    [((0, 0), 2.0), ((1, 0), 3.0), ((1, 1), 5.0)]
    """
    steps = []
    for tensor, (size, damage) in enumerate(zip(sizes, damages, strict=True)):
        hull = _hull(size, damage)
        for before, after in pairwise(hull):
            gain = (damage[before] - damage[after]) / (size[after] - size[before])
            steps.append((-gain, tensor, after))
    chosen = [0] * len(sizes)
    total = float(sum(size[0] for size in sizes))
    path = [(tuple(chosen), total)]
    for _, tensor, choice in sorted(steps):
        total += float(sizes[tensor][choice] - sizes[tensor][chosen[tensor]])
        chosen[tensor] = choice
        path.append((tuple(chosen), total))
    return path


def _hull(size: NDArray[np.float64], damage: NDArray[np.float64]) -> list[int]:
    """Choices on the lower convex hull, the smallest first: every step buys less for a byte than the one before."""
    hull = [0]
    while True:
        last = hull[-1]
        better = [i for i in range(last + 1, size.size) if damage[i] < damage[last] and size[i] > size[last]]
        if not better:
            return hull
        hull.append(max(better, key=lambda i: ((damage[last] - damage[i]) / (size[i] - size[last]), i)))
