"""When to prune how much: the sparsity at the end of every round.

The first round is at the end of dense training (`epochs` of a recipe: the schedule's begin), the next ones
`round_epochs` later each (its frequency), the last one `rounds` - 1 times as late (its end).
"""

__all__ = ["cubic", "incremental", "iterative", "one_shot"]


def one_shot(sparsity: float, rounds: int) -> tuple[float, ...]:
    """All at once, in one round."""
    return (sparsity,)


def iterative(sparsity: float, rounds: int) -> tuple[float, ...]:
    """The same fraction of what is left in every round.

    Han, Pool, Tran, Dally: Learning both weights and connections for efficient neural networks (2015), section 3.4.

    >>> [round(s, 3) for s in iterative(0.75, 2)]
    [0.5, 0.75]
    """
    return (*(1 - (1 - sparsity) ** (r / rounds) for r in range(1, rounds)), sparsity)


def incremental(sparsity: float, rounds: int) -> tuple[float, ...]:
    """The same number of weights in every round, such as a tenth of all at a time.

    >>> [round(s, 3) for s in incremental(0.9, 3)]
    [0.3, 0.6, 0.9]
    """
    return (*(sparsity * r / rounds for r in range(1, rounds)), sparsity)


def cubic(sparsity: float, rounds: int) -> tuple[float, ...]:
    """Fast at first, slow towards the end.

    Zhu, Gupta: To prune, or not to prune (2017), section 3, equation 1, from a sparsity of zero.

    >>> [round(s, 3) for s in cubic(0.8, 2)]
    [0.7, 0.8]
    """
    return (*(sparsity * (1 - (1 - r / rounds) ** 3) for r in range(1, rounds)), sparsity)
