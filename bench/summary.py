"""From raw samples to the figures of a table, and the rule by which a measurement is called unstable."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

__all__ = ["UNSTABLE_RULE", "Summary", "format_ns", "summarise", "unstable_reasons"]

UNSTABLE_RULE = (
    "may be unstable: the rounds' medians have a standard deviation above 10 % of their mean, "
    "or one of them lies more than 50 % from their median, or p90 lies more than 50 % above p50"
)
"""The first two are pyperf's checks, taken over the rounds' medians: single calls of a few microseconds always have
outliers, and those are what p99 is for."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Percentiles, mean and spread of one contestant's samples, nanoseconds a call; throughput in images a second."""

    samples: int
    p50_ns: float
    p75_ns: float
    p90_ns: float
    p95_ns: float
    p99_ns: float
    mean_ns: float
    std_ns: float
    min_ns: float
    throughput_per_s: float
    unstable: tuple[str, ...]


def format_ns(value: float | None) -> str:
    """A time in the unit that suits it, three figures.

    >>> format_ns(4512.0), format_ns(93_400_000), format_ns(None)
    ('4.51 µs', '93.4 ms', '–')
    """
    if value is None:
        return "–"
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value / scale < 1000 else f"{value / scale:.0f} {unit}"
    return f"{value:.0f} ns"


def unstable_reasons(rounds: NDArray[np.int64]) -> tuple[str, ...]:
    """Which parts of UNSTABLE_RULE the samples break; empty for a steady measurement.

    Parameters
    ----------
    rounds : int64 [rounds, samples]
        Latency of every call, a round a row.

    Examples
    --------
    >>> unstable_reasons(np.full((4, 5), 1000))
    ()
    >>> unstable_reasons(np.array([[1000, 1000], [1000, 1000], [1000, 1000], [4000, 4000]]))[0]
    "the rounds' medians spread by 86 % of their mean"
    """
    medians = np.median(rounds, axis=1)
    reasons = []
    if medians.size > 1:
        spread = float(medians.std(ddof=1) / medians.mean())
        if spread > 0.10:
            reasons.append(f"the rounds' medians spread by {spread:.0%} of their mean".replace("%", " %"))
        middle = float(np.median(medians))
        furthest = float(np.abs(medians / middle - 1).max())
        if furthest > 0.50:
            reasons.append(f"one round's median lies {furthest:.0%} from the others'".replace("%", " %"))
    p50, p90 = np.percentile(rounds, (50, 90))
    if p90 > 1.5 * p50:
        reasons.append(f"p90 lies {p90 / p50 - 1:.0%} above p50".replace("%", " %"))
    return tuple(reasons)


def summarise(rounds: NDArray[np.int64], batch_size: int) -> Summary:
    """Summarise one contestant's samples.

    Parameters
    ----------
    rounds : int64 [rounds, samples]
        Latency of every call in nanoseconds, positive, a round a row.
    batch_size : int
        Images in one call.

    Raises
    ------
    BenchError
        No samples, or one that is not positive: then the clock is not fit for this.
    """
    if rounds.ndim != 2 or rounds.size == 0:
        raise BenchError(f"samples: found shape {rounds.shape}, allowed at least one round of one sample")
    if int(rounds.min()) <= 0:
        raise BenchError(f"samples: found a latency of {int(rounds.min())} ns, allowed positive ones")
    p50, p75, p90, p95, p99 = (float(value) for value in np.percentile(rounds, (50, 75, 90, 95, 99)))
    mean = float(rounds.mean())
    return Summary(
        samples=int(rounds.size),
        p50_ns=p50,
        p75_ns=p75,
        p90_ns=p90,
        p95_ns=p95,
        p99_ns=p99,
        mean_ns=mean,
        std_ns=float(rounds.std(ddof=1)) if rounds.size > 1 else 0.0,
        min_ns=float(rounds.min()),
        throughput_per_s=batch_size * 1e9 / mean,
        unstable=unstable_reasons(rounds),
    )
