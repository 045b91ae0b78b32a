"""When to prune how much: the epochs of retraining at which cuts are made, and the sparsity that each one reaches.

A schedule has a begin (the epoch of its first cut), an end (that of its last one) and a frequency (the epochs between
two cuts). Epochs count from the end of dense training.
"""

__all__ = ["cubic", "cut_epochs", "incremental", "iterative", "one_shot"]


def cut_epochs(rounds: int, spacing: int, *, begin: int = 0, end: int = 0, frequency: int = 0) -> tuple[int, ...]:
    """How many epochs of retraining lie before every cut.

    Parameters
    ----------
    rounds : int
        Number of cuts, unless `end` and `frequency` tell it together.
    spacing : int
        Epochs between two cuts, unless `end` or `frequency` tells it.
    begin : int
        Epochs before the first cut.
    end : int
        Epochs before the last cut; zero to have it told by the others. Without a frequency the cuts are spread over
        the epochs from `begin`, rounded downwards.
    frequency : int
        Epochs between two cuts; zero to have it told by the others.

    Returns
    -------
    tuple of int
        Ascending; of equal ones, cuts without retraining between them.

    Raises
    ------
    ValueError
        They do not go together: one line in the words of a recipe.

    Examples
    --------
    >>> cut_epochs(4, 1), cut_epochs(3, 1, begin=2, frequency=5), cut_epochs(4, 1, end=10)
    ((0, 1, 2, 3), (2, 7, 12), (0, 3, 6, 10))
    >>> cut_epochs(4, 1, begin=2, end=8, frequency=3)
    (2, 5, 8)
    """
    if not end:
        return tuple(begin + number * (frequency or spacing) for number in range(rounds))
    if end < begin:
        raise ValueError(f"prune-end: found {end} with prune-begin {begin}, allowed at least {begin}")
    if frequency:
        if (end - begin) % frequency:
            raise ValueError(
                f"prune-end: found {end} with prune-begin {begin} and prune-frequency {frequency}, "
                "allowed the begin plus a multiple of it"
            )
        return tuple(range(begin, end + 1, frequency))
    if end - begin < rounds - 1 or (rounds == 1 and end > begin):
        allowed = f"at most {end - begin + 1}, one an epoch" if rounds > 1 else "at least 2, or no prune-end"
        raise ValueError(f"rounds: found {rounds} from prune-begin {begin} to prune-end {end}, allowed {allowed}")
    return tuple(begin + number * (end - begin) // max(1, rounds - 1) for number in range(rounds))


def one_shot(sparsity: float, rounds: int) -> tuple[float, ...]:
    """All at once, in one round, at the begin."""
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

    Zhu, Gupta: To prune, or not to prune (2017), section 3, equation 1: s_t = s_f + (s_i - s_f)(1 - (t - t0)/(n Δt))³
    at t = t0, t0 + Δt, …, t0 + n Δt. Ours has s_i = 0 and n = `rounds`, and leaves out the cut at t0, which would prune
    nothing: the first cut, at the begin, is theirs at t0 + Δt, so t0 lies one frequency before the begin. Their Δt is
    100 to 1000 steps, ours whole epochs; ours never brings a pruned weight back.

    >>> [round(s, 3) for s in cubic(0.8, 2)]
    [0.7, 0.8]
    """
    return (*(sparsity * (1 - (1 - r / rounds) ** 3) for r in range(1, rounds)), sparsity)
