"""Laws of N:M selection, of a threshold a layer, and of each layer on its own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from compress.prune.selection import count_kept, select_above, select_each, select_pattern

scores = arrays(
    np.float32,
    array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=7),
    elements=st.floats(0, 4, width=32) | st.integers(0, 2).map(float),
)
patterns = st.integers(2, 8).flatmap(lambda group: st.tuples(st.integers(1, group - 1), st.just(group)))


@given(scores, patterns)
def test_every_group_keeps_its_highest_and_no_more(array: np.ndarray, pattern: tuple[int, int]) -> None:
    kept, group = pattern
    mask = select_pattern(array, kept, group)
    assert mask.shape == array.shape
    flat, marks = array.reshape(len(array), -1), mask.reshape(len(array), -1)
    for row, marked in zip(flat, marks, strict=True):
        for start in range(0, row.size, group):
            part, chosen = row[start : start + group], marked[start : start + group]
            assert chosen.sum() == min(kept, part.size)
            by_hand = sorted(range(part.size), key=lambda i: (-part[i], i))[:kept]
            assert np.flatnonzero(chosen).tolist() == sorted(by_hand)


@given(st.lists(scores, max_size=3), st.floats(0, 0.99))
def test_each_layer_alone_is_exact(tensors: list[np.ndarray], sparsity: float) -> None:
    named = {str(number): tensor for number, tensor in enumerate(tensors)}
    masks = select_each(named, dict.fromkeys(named, sparsity))
    assert all(np.count_nonzero(masks[name]) == count_kept(named[name].size, sparsity) for name in named)


@given(scores, st.floats(0, 4, width=32))
def test_a_threshold_keeps_what_is_above_it(array: np.ndarray, threshold: float) -> None:
    mask = select_above({"w": array}, {"w": threshold})["w"]
    assert mask.shape == array.shape
    assert all(value > threshold for value in array[mask])
    assert all(value <= threshold for value in array[~mask])
