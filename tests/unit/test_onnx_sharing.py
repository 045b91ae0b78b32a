"""Sharing one tensor of any ONNX file: exact counts, exact recognition, codebooks for channels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compress.errors import UsageError
from compress.representation import CodedTensor
from compress.rounding.allocate import upgrade_path
from compress.rounding.settings import PostTraining
from compress.rounding.tensor import code_tensor, coded_bits


def share_tensor(array: np.ndarray, **options: object) -> CodedTensor | None:
    coded = code_tensor(array, element=array.dtype.name, **options)  # type: ignore[arg-type]  # keywords as they come
    return None if coded is None else coded.tensor


BIG = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)


@pytest.mark.parametrize("bits", range(1, 9))
def test_a_tensor_gets_at_most_so_many_values(bits: int) -> None:
    shared = share_tensor(BIG, bits=bits)
    assert shared is not None
    assert np.unique(shared.dense()).size <= 2**bits
    assert shared.dense().shape == BIG.shape
    assert shared.dense().dtype == np.float32


def test_more_bits_are_nearer_and_larger() -> None:
    chosen = [share_tensor(BIG, bits=bits) for bits in range(1, 9)]
    errors = [float(np.square(shared.dense() - BIG).mean()) for shared in chosen if shared is not None]
    sizes = [coded_bits(shared) for shared in chosen if shared is not None]
    assert errors == sorted(errors, reverse=True)
    assert sizes == sorted(sizes)
    assert len(errors) == 8


@pytest.mark.parametrize(
    ("scale", "halved"),
    [(1.0, True), (1e-3, True), (1e-8, False), (1e6, False)],
)
def test_codebooks_are_halves_where_no_centroid_moves_noticeably(scale: float, halved: bool) -> None:
    shared = share_tensor(BIG * np.float32(scale), bits=6)
    assert shared is not None
    centroids = shared.values()[0]
    with np.errstate(over="ignore"):
        assert bool((centroids.astype(np.float16) == centroids).all()) == halved
    assert centroids.size == 64
    if scale == 1e-3:  # half precision is coarser there than its 2**-11
        assert np.abs(centroids).min() < 2.0**-14


@given(st.sampled_from([0.1, 0.5, 0.9, 0.99]), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_sparsity_is_an_exact_count_of_the_smallest(sparsity: float, seed: int) -> None:
    array = np.random.default_rng(seed).integers(-50, 50, (30, 37)).astype(np.float32)
    array += np.random.default_rng(seed).normal(scale=1e-3, size=array.shape).astype(np.float32)
    shared = share_tensor(array, bits=4, sparsity=sparsity)
    assert shared is not None
    assert shared.positions is not None
    assert shared.positions.size == array.size - round(sparsity * array.size)
    magnitudes = np.abs(array.reshape(-1))
    pruned = np.delete(magnitudes, shared.positions)
    assert magnitudes[shared.positions].min() >= pruned.max()


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0.0, -0.0, 1.5, -2.25, 3e-40, 7.0]),
    )
)
@settings(max_examples=60, deadline=None)
def test_few_values_come_back_bit_for_bit(array: np.ndarray) -> None:
    for lossless in (True, False):
        coded = code_tensor(array, bits=1, lossless=lossless)
        assert coded is not None
        assert coded.exact
        assert coded.tensor.dense().tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_integers_are_never_rounded(dtype: type[np.generic]) -> None:
    array = np.random.default_rng(0).integers(0, 127, (64, 64)).astype(dtype)
    shared = share_tensor(array, bits=2)
    assert shared is not None
    assert shared.dense().tobytes() == array.tobytes()


def test_too_many_values_are_left_alone_by_lossless() -> None:
    assert share_tensor(BIG, bits=6, lossless=True) is None


def test_zeros_stay_where_a_tensor_is_pruned_or_the_user_says_so() -> None:
    array = BIG.copy()
    array[:, :20] = 0
    pruned = share_tensor(array, bits=4)
    assert pruned is not None
    assert (pruned.dense()[:, :20] == 0).all()
    few = BIG.copy()
    few[0] = 0
    kept = share_tensor(few, bits=2, keep_zeros=True)
    free = share_tensor(few, bits=2)
    assert kept is not None
    assert free is not None
    assert (kept.dense()[0] == 0).all()
    assert (free.dense()[0] != 0).any()


@pytest.mark.parametrize(("axis", "per_group", "groups"), [(0, 1, 40), (1, 1, 50), (0, 16, 3), (1, 25, 2)])
def test_channels_get_codebooks_of_their_own(axis: int, per_group: int, groups: int) -> None:
    scaled = BIG * np.arange(1, BIG.shape[axis] + 1).reshape((-1, 1) if axis == 0 else (1, -1))
    shared = share_tensor(scaled.astype(np.float32), bits=3, channel_axis=axis, channels_per_group=per_group)
    whole = share_tensor(scaled.astype(np.float32), bits=3)
    assert shared is not None
    assert whole is not None
    assert shared.codebook.groups == groups
    assert shared.dense().shape == scaled.shape
    assert np.square(shared.dense() - scaled).mean() < np.square(whole.dense() - scaled).mean()


def test_allocations_grow_by_what_saves_most_for_a_byte() -> None:
    sizes = [np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0])]
    damages = [np.array([8.0, 2.0, 1.0]), np.array([4.0, 0.0])]
    assert upgrade_path(sizes, damages) == [((0, 0), 2.0), ((1, 0), 3.0), ((1, 1), 4.0), ((2, 1), 6.0)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bits": 9}, "bits: found 9, allowed 1 to 8"),
        ({"sparsity": 1.0}, "sparsity: found 1.0, allowed 0 up to but not including 1"),
        (
            {"granularity": "per-group:0"},
            "granularity: found 'per-group:0', allowed per-tensor, per-channel or per-group:N, N at least 1",
        ),
        ({"max_error": 0.0}, "max-error: found 0.0, allowed above 0"),
        ({"target_size": 0}, "target-size: found 0, allowed above 0 bytes"),
        ({"rounding": "up"}, "rounding: found 'up', allowed k-means, grid"),
        ({"max_error": 0.1, "target_size": 5}, "max-error: found together with target-size, allowed one of the two"),
        (
            {"lossless": True, "sparsity": 0.5},
            "lossless: found together with sparsity, max-error or target-size, allowed alone",
        ),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        PostTraining(**wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert str(caught.value) == message
