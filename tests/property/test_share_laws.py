"""Laws of weight sharing: exact where it can be, nearest always, optimal where it says so, the same twice."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compress.share.k_means import INITIALISATIONS, assign, cluster

weights = arrays(
    np.float32,
    st.integers(0, 60),
    elements=st.floats(-2, 2, width=32) | st.integers(-3, 3).map(lambda i: i / 2),
)
every_method = pytest.mark.parametrize("method", list(INITIALISATIONS))


def squared_error(values: np.ndarray, centroids: np.ndarray) -> float:
    wide = values.astype(np.float64)
    return float(np.square(wide - centroids.astype(np.float64)[assign(values, centroids)]).sum())


def exact_error(values: np.ndarray, k: int) -> float:
    """The least squared error of at most k clusters, by the plain quadratic dynamic programme."""
    ordered = np.sort(values.astype(np.float64))
    n = ordered.size
    first = np.concatenate([[0.0], np.cumsum(ordered)])
    second = np.concatenate([[0.0], np.cumsum(np.square(ordered))])
    start, end = np.arange(n)[:, None], np.arange(1, n + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = second[end] - second[start] - np.square(first[end] - first[start]) / (end - start)
    cost = np.where(start < end, np.maximum(cost, 0), np.inf)
    best = np.concatenate([[0.0], np.full(n, np.inf)])
    for _ in range(k):
        best = np.concatenate([[0.0], (best[:-1, None] + cost).min(axis=0)])
    return float(best[n])


def test_the_dynamic_programme_of_this_test_agrees_with_trying_every_cut() -> None:
    values = np.float32([0, 0.1, 0.5, 0.9, 1.4, 1.5])
    tried = min(
        sum(float(np.square(part - part.mean()).sum()) for part in np.split(values.astype(np.float64), list(cuts)))
        for cuts in itertools.combinations(range(1, 6), 2)
    )
    assert exact_error(values, 3) == pytest.approx(tried, rel=1e-12)


@every_method
@settings(max_examples=40)
@given(values=weights, k=st.integers(1, 80), seed=st.integers(0, 5))
def test_centroids_are_ascending_distinct_chosen_and_the_same_twice(
    method: str, values: np.ndarray, k: int, seed: int
) -> None:
    centroids = cluster(values, k, method, np.random.default_rng(seed))
    assert centroids.dtype == np.float32
    assert centroids.size <= k
    assert (np.diff(centroids) > 0).all()
    assert np.array_equal(centroids, cluster(values, k, method, np.random.default_rng(seed)))
    if values.size:
        assert values.min() <= centroids[0]
        assert centroids[-1] <= values.max()
        assert set(assign(values, centroids).tolist()) == set(range(centroids.size))


@every_method
@settings(max_examples=40)
@given(values=weights, seed=st.integers(0, 5))
def test_enough_centroids_are_exact(method: str, values: np.ndarray, seed: int) -> None:
    distinct = np.unique(values)
    centroids = cluster(values, max(1, distinct.size), method, np.random.default_rng(seed))
    assert np.array_equal(centroids, distinct)
    if values.size:
        assert np.array_equal(centroids[assign(values, centroids)], values)


@every_method
@settings(max_examples=40)
@given(values=weights, k=st.integers(1, 9), order=st.randoms(use_true_random=False))
def test_the_order_of_the_weights_does_not_matter(method: str, values: np.ndarray, k: int, order: object) -> None:
    shuffled = values.copy()
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    one, other = (cluster(array, k, method, np.random.default_rng(0)) for array in (values, shuffled))
    assert np.array_equal(one, other)


@every_method
@settings(max_examples=40)
@given(values=weights.filter(len), k=st.integers(1, 9))
def test_a_centroid_is_the_mean_of_the_weights_that_choose_it(method: str, values: np.ndarray, k: int) -> None:
    centroids = cluster(values, k, method, np.random.default_rng(0))
    codes = assign(values, centroids)
    means = [values[codes == code].astype(np.float64).mean() for code in range(centroids.size)]
    assert centroids == pytest.approx(np.asarray(means), abs=1e-6)


@given(values=weights, centroids=arrays(np.float32, st.integers(1, 256), elements=st.floats(-2, 2, width=32)))
def test_the_assigned_centroid_is_a_nearest_one(values: np.ndarray, centroids: np.ndarray) -> None:
    centroids = np.unique(centroids)
    codes = assign(values, centroids)
    assert codes.dtype == np.uint8
    distances = np.abs(values.astype(np.float64)[:, None] - centroids.astype(np.float64))
    assert np.array_equal(distances[np.arange(values.size), codes], distances.min(axis=1))


@settings(max_examples=60)
@given(values=weights.filter(len), k=st.integers(1, 8))
def test_the_optimum_is_within_a_ten_thousandth_of_the_exact_one(values: np.ndarray, k: int) -> None:
    found = squared_error(values, cluster(values, k, "optimal", np.random.default_rng(0)))
    # Weights closer together than a bin of the histogram may share one: that much is the method's own error.
    spread = float(values.max() - values.min())
    within_a_bin = values.size * (spread / 2048) ** 2
    assert found <= exact_error(values, k) * 1.0001 + within_a_bin + 1e-9


@pytest.mark.parametrize("k", [2, 5, 16])
@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
def test_the_optimum_of_many_weights_is_within_a_ten_thousandth(draw: str, k: int) -> None:
    values = getattr(np.random.default_rng(k), draw)(size=350).astype(np.float32)
    found = squared_error(values, cluster(values, k, "optimal", np.random.default_rng(0)))
    assert exact_error(values, k) * (1 - 1e-6) <= found <= exact_error(values, k) * 1.0001


@every_method
def test_one_constant_weight_is_its_own_centroid(method: str) -> None:
    values = np.full(1000, 0.3, np.float32)
    assert np.array_equal(cluster(values, 32, method, np.random.default_rng(0)), values[:1])
    assert cluster(values[:0], 4, method, np.random.default_rng(0)).size == 0


@every_method
def test_256_centroids_fill_a_byte(method: str) -> None:
    values = np.random.default_rng(1).normal(size=5000).astype(np.float32)
    centroids = cluster(values, 256, method, np.random.default_rng(0))
    codes = assign(values, centroids)
    assert 128 < centroids.size <= 256
    assert int(codes.max()) == centroids.size - 1
