"""Laws of the exact selection: counts, ties, nesting, and what a global ranking is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from compress.prune.selection import count_kept, keep_highest, select_globally

sparsities = st.floats(0, 1, exclude_max=True) | st.decimals(0, 1, places=3).filter(lambda d: d < 1).map(float)
scores_of_a_tensor = arrays(
    np.float32,
    array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    elements=st.floats(0, 4, width=32) | st.integers(0, 2).map(float),
)


@given(st.integers(0, 10**9), sparsities)
def test_a_count_is_the_nearest_whole_number_and_at_least_one(size: int, sparsity: float) -> None:
    kept = count_kept(size, sparsity)
    assert kept == 0 if size == 0 else 1 <= kept <= size
    assert kept in (min(size, 1), size) or abs(kept - size * (1 - sparsity)) <= 0.5 + 1e-6 * size


def test_a_decimal_sparsity_counts_as_it_prints() -> None:
    for percent in range(100):
        assert count_kept(1000, percent / 100) == 1000 - 10 * percent


@given(scores_of_a_tensor.map(np.ravel), st.integers(-1, 700))
def test_the_kept_scores_are_an_exact_count_of_the_highest(scores: np.ndarray, count: int) -> None:
    kept = keep_highest(scores, count)
    assert kept.shape == scores.shape
    assert np.count_nonzero(kept) == min(max(count, 0), scores.size)
    if kept.any() and not kept.all():
        assert scores[kept].min() >= scores[~kept].max()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 30))
def test_of_equal_scores_the_first_stay(values: list[int], count: int) -> None:
    scores = np.asarray(values, np.float32)
    by_hand = sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]
    assert np.flatnonzero(keep_highest(scores, count)).tolist() == sorted(by_hand)


@given(st.lists(scores_of_a_tensor, max_size=4), sparsities)
def test_a_global_selection_is_exact_over_all_tensors_together(tensors: list[np.ndarray], sparsity: float) -> None:
    scores = {f"layer {number}": tensor for number, tensor in enumerate(tensors)}
    masks = select_globally(scores, sparsity)
    assert {name: mask.shape for name, mask in masks.items()} == {name: tensor.shape for name, tensor in scores.items()}
    total = sum(tensor.size for tensor in tensors)
    assert sum(int(np.count_nonzero(mask)) for mask in masks.values()) == count_kept(total, sparsity)
    flat = np.concatenate([np.zeros(0, np.float32), *(tensor.ravel() for tensor in tensors)])
    kept = np.concatenate([np.zeros(0, np.bool_), *(mask.ravel() for mask in masks.values())])
    assert np.array_equal(kept, keep_highest(flat, count_kept(total, sparsity)))


@given(st.lists(scores_of_a_tensor, min_size=1, max_size=3), sparsities, sparsities)
def test_masks_are_nested_as_sparsity_rises(tensors: list[np.ndarray], one: float, other: float) -> None:
    scores = {str(number): tensor for number, tensor in enumerate(tensors)}
    less, more = select_globally(scores, min(one, other)), select_globally(scores, max(one, other))
    assert all(not np.any(more[name] & ~less[name]) for name in scores)


@given(scores_of_a_tensor, sparsities)
def test_what_is_given_stays_as_it_is(tensor: np.ndarray, sparsity: float) -> None:
    before = tensor.copy()
    select_globally({"w": tensor}, sparsity)
    assert np.array_equal(tensor, before)
