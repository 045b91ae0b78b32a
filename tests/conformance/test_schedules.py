"""Every schedule of SCHEDULES: it rises, ends at the sparsity that is asked for exactly, and keeps to its epochs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.prune import SCHEDULES
from compress.prune.schedules import cut_epochs
from compress.recipe.recipe import Recipe


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


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("one-shot", {2: 0.8}),
        ("incremental", {2: 0.2, 4: 0.4, 6: 0.6, 8: 0.8}),
        ("cubic", {2: 0.4625, 4: 0.7, 6: 0.7875, 8: 0.8}),
        ("iterative", {2: 0.3313, 4: 0.5528, 6: 0.7009, 8: 0.8}),
    ],
)
def test_begin_end_and_frequency_give_epochs_and_sparsities(schedule: str, expected: dict[int, float]) -> None:
    fields = {"schedule": schedule, "sparsity": 0.8, "prune_begin": 2, "prune_end": 8, "prune_frequency": 2}
    cuts = Recipe.of(fields).pruning.cut_epochs()
    reached = SCHEDULES[schedule](0.8, len(cuts))
    assert {epoch: round(sparsity, 4) for epoch, sparsity in zip(cuts, reached, strict=True)} == expected


@given(begin=st.integers(0, 50), rounds=st.integers(1, 20), frequency=st.integers(1, 20), spacing=st.integers(0, 20))
def test_any_two_of_rounds_end_and_frequency_tell_the_third(
    begin: int, rounds: int, frequency: int, spacing: int
) -> None:
    cuts = cut_epochs(rounds, spacing, begin=begin, frequency=frequency)
    assert len(cuts) == rounds
    assert cuts[0] == begin
    assert {later - earlier for earlier, later in pairwise(cuts)} <= {frequency}
    if cuts[-1]:
        assert cut_epochs(1000, spacing, begin=begin, end=cuts[-1], frequency=frequency) == cuts
        assert cut_epochs(rounds, spacing, begin=begin, end=cuts[-1]) == cuts
    assert cut_epochs(rounds, frequency, begin=begin) == cuts


@given(begin=st.integers(0, 50), rounds=st.integers(2, 20), more=st.integers(0, 60))
def test_rounds_are_spread_evenly_from_begin_to_end(begin: int, rounds: int, more: int) -> None:
    cuts = cut_epochs(rounds, 1, begin=begin, end=begin + rounds - 1 + more)
    steps = {later - earlier for earlier, later in pairwise(cuts)}
    assert (cuts[0], cuts[-1], len(cuts)) == (begin, begin + rounds - 1 + more, rounds)
    assert max(steps) - min(steps) <= 1 <= min(steps)
