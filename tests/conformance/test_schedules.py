"""Every schedule of SCHEDULES: it rises, ends at the sparsity that is asked for exactly, and never leaves [0, 1)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.prune import SCHEDULES


@pytest.mark.parametrize("schedule", list(SCHEDULES))
@given(sparsity=st.floats(0, 1, exclude_max=True), rounds=st.integers(1, 50))
def test_sparsity_rises_to_exactly_what_is_asked_for(schedule: str, sparsity: float, rounds: int) -> None:
    steps = SCHEDULES[schedule](sparsity, rounds)
    assert steps[-1] == sparsity
    assert len(steps) in (1, rounds)
    assert all(0 <= step < 1 for step in steps)
    assert all(later >= earlier - 1e-12 for earlier, later in pairwise(steps))


def test_steps_by_hand() -> None:
    steps = {name: [round(step, 4) for step in schedule(0.8, 4)] for name, schedule in SCHEDULES.items()}
    assert steps["one-shot"] == [0.8]
    assert steps["incremental"] == [0.2, 0.4, 0.6, 0.8]
    assert steps["cubic"] == [0.4625, 0.7, 0.7875, 0.8]
    assert steps["iterative"] == [0.3313, 0.5528, 0.7009, 0.8]
