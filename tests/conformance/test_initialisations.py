"""Every initialisation of INITIALISATIONS: ascending starts within the weights' range, as many as are asked for."""

import numpy as np
import pytest

from compress.share.k_means import INITIALISATIONS


@pytest.mark.parametrize("k", [1, 2, 7, 32])
@pytest.mark.parametrize("name", list(INITIALISATIONS))
def test_starts_are_ascending_and_within_the_range(name: str, k: int) -> None:
    ordered = np.sort(np.random.default_rng(0).normal(size=400).astype(np.float32))
    starts = INITIALISATIONS[name](ordered, k, np.random.default_rng(0))
    assert starts.shape == (k,)
    assert (np.diff(starts) >= 0).all()
    assert ordered[0] - 1e-6 <= starts[0]
    assert starts[-1] <= ordered[-1] + 1e-6
    assert np.array_equal(starts, INITIALISATIONS[name](ordered, k, np.random.default_rng(0)))


def test_starts_by_hand() -> None:
    ordered = np.float32([0, 1, 2, 3, 4, 20])
    starts = {name: start(ordered, 2, np.random.default_rng(0)).tolist() for name, start in INITIALISATIONS.items()}
    assert starts["linear"] == [0, 20]
    assert starts["density"] == [1, 4]
    assert starts["optimal"] == pytest.approx([2, 20])
    assert set(starts["random"]) <= set(ordered.tolist())
    assert set(starts["k-means++"]) <= set(ordered.tolist())
