"""Figures and the unstable rule from samples worked by hand."""

import re

import numpy as np
import pytest

from bench.errors import BenchError
from bench.summary import summarise, unstable_reasons


def test_percentiles_mean_and_throughput_by_hand() -> None:
    rounds = np.arange(1, 102, dtype=np.int64).reshape(1, 101) * 1000
    summary = summarise(rounds, batch_size=64)
    assert (summary.p50_ns, summary.p75_ns, summary.p90_ns) == (51_000, 76_000, 91_000)
    assert (summary.p95_ns, summary.p99_ns, summary.mean_ns, summary.min_ns) == (96_000, 100_000, 51_000, 1000)
    assert summary.samples == 101
    assert summary.throughput_per_s == pytest.approx(64 / 51e-6)
    assert summary.std_ns == pytest.approx(np.arange(1, 102).std(ddof=1) * 1000)


def test_a_single_sample_has_no_spread() -> None:
    summary = summarise(np.array([[7]]), batch_size=1)
    assert (summary.std_ns, summary.p99_ns, summary.unstable) == (0.0, 7.0, ())


@pytest.mark.parametrize(
    ("rounds", "message"),
    [
        (np.empty((0, 0), dtype=np.int64), "samples: found shape (0, 0), allowed at least one round of one sample"),
        (np.array([[5, 0]]), "samples: found a latency of 0 ns, allowed positive ones"),
    ],
)
def test_samples_that_cannot_be_summarised(rounds: np.ndarray, message: str) -> None:
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$"):
        summarise(rounds, batch_size=1)


def test_steady_rounds_with_rare_outliers_are_stable() -> None:
    rounds = np.full((10, 100), 1000)
    rounds[:, 0] = 50_000
    assert unstable_reasons(rounds) == ()


def test_drifting_rounds_are_unstable() -> None:
    rounds = np.repeat(np.array([[1000], [1000], [1300], [1300]]), 50, axis=1)
    assert unstable_reasons(rounds) == ("the rounds' medians spread by 15 % of their mean",)


def test_one_slow_round_is_unstable() -> None:
    rounds = np.full((20, 50), 1000)
    rounds[7] = 1600
    reasons = unstable_reasons(rounds)
    assert "one round's median lies 60 % from the others'" in reasons


def test_two_speeds_within_every_round_are_unstable() -> None:
    rounds = np.tile(np.array([1000] * 8 + [2000] * 2), (5, 1))
    assert unstable_reasons(rounds) == ("p90 lies 100 % above p50",)
