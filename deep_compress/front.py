"""The best among pairs of costs: what no other is better than."""

from collections.abc import Sequence

__all__ = ["front_of"]


def front_of(costs: Sequence[tuple[float, float]]) -> list[int]:
    """Which pairs of costs no other is at least as good as in both and better in one; by rising first cost.

    >>> front_of([(3, 1), (1, 3), (2, 2), (3, 2), (2, 2)])
    [1, 2, 0]
    """
    best, front = float("inf"), []
    for index in sorted(range(len(costs)), key=lambda i: (costs[i], i)):
        if costs[index][1] < best:
            best = costs[index][1]
            front.append(index)
    return front
