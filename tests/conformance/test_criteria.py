"""Every criterion of CRITERIA: finite scores of the right shape, the same twice, and what each means, by hand."""

import numpy as np
import pytest

from compress.prune import CRITERIA
from compress.prune.criterion import Context

WEIGHTS = {
    "conv.weight": np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype(np.float32),
    "fc.weight": np.float32([[3, -4], [0.3, -0.4], [1, 0]]),
    "constant.weight": np.full((2, 2), 0.5, np.float32),
    "pruned.weight": np.zeros((3, 2), np.float32),
    "one.weight": np.ones((1, 1), np.float32),
}


def context(seed: int = 0) -> Context:
    gradients = {name: np.full_like(weight, 0.5) for name, weight in WEIGHTS.items()}
    return Context(weights=WEIGHTS, gradients=lambda: gradients, generator=np.random.default_rng(seed))


@pytest.mark.parametrize("name", list(WEIGHTS))
@pytest.mark.parametrize("criterion", list(CRITERIA))
def test_scores_are_finite_of_the_right_shape_and_the_same_twice(criterion: str, name: str) -> None:
    chosen, weight = CRITERIA[criterion], WEIGHTS[name]
    before = weight.copy()
    scores = chosen.score(context(), name)
    assert scores.dtype == np.float32
    assert scores.shape == (weight.shape if chosen.unit == "weight" else weight.shape[:1])
    assert np.isfinite(scores).all()
    assert np.array_equal(scores, chosen.score(context(), name))
    assert np.array_equal(weight, before)
    assert chosen.summary
    assert chosen.unit == "filter" or not chosen.removes


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ("l1", [[3, 4], [0.3, 0.4], [1, 0]]),
        ("l2", [[9, 16], [0.09, 0.16], [1, 0]]),
        ("taylor", [[1.5, 2], [0.15, 0.2], [0.5, 0]]),
        ("filter-l1", [3.5, 0.35, 0.5]),
        ("filter-l2", [12.5**0.5, 0.125**0.5, 0.5**0.5]),
        ("channel-l1", [3.5, 0.35, 0.5]),
        ("channel-l2", [12.5**0.5, 0.125**0.5, 0.5**0.5]),
        ("neuron-similarity", [2, 0, 0.4]),
    ],
)
def test_scores_by_hand(criterion: str, expected: list[float]) -> None:
    # Of the filters, (0.3, -0.4) points where (3, -4) does and goes first; (1, 0) has a cosine of 0.6 to what is left.
    assert CRITERIA[criterion].score(context(), "fc.weight") == pytest.approx(np.float32(expected), rel=1e-6, abs=1e-6)


def test_a_layers_threshold_is_a_multiple_of_its_standard_deviation() -> None:
    weight = WEIGHTS["fc.weight"]
    scores = CRITERIA["layer-std"].score(context(), "fc.weight")
    assert scores == pytest.approx(np.abs(weight) / weight.std(), rel=1e-6)
    assert not CRITERIA["layer-std"].score(context(), "constant.weight").any()


def test_chance_differs_by_seed_only() -> None:
    one, other = (CRITERIA["random"].score(context(seed), "conv.weight") for seed in (0, 1))
    assert not np.array_equal(one, other)
