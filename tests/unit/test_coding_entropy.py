"""The entropy of histograms: edges, and against the definition."""

from math import copysign, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.coding.entropy import entropy_bits


@pytest.mark.parametrize("counts", [[], [0], [0, 0, 7], [1], [10**15]])
def test_fewer_than_two_symbols_have_none_and_no_negative_zero(counts: list[int]) -> None:
    found = entropy_bits(np.array(counts, dtype=np.int64))
    assert found == 0.0
    assert copysign(1, found) == 1


@given(st.lists(st.integers(0, 10**6), max_size=40))
def test_it_is_the_sum_over_all_symbols_of_minus_log2_of_their_share(counts: list[int]) -> None:
    expected = sum(-count * log2(count / sum(counts)) for count in counts if count)
    assert entropy_bits(np.array(counts, dtype=np.int64)) == pytest.approx(expected, abs=1e-6)
