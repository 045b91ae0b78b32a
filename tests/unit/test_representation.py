"""What a coded or a dense tensor must be: each broken invariant is told, arrays cannot be changed, both views agree."""

from collections.abc import Callable

import numpy as np
import pytest

from compress.elements import ELEMENTS
from compress.representation import Codebook, CodedTensor, DenseTensor, Grid

ROW = np.float32([-1, 0, 2])


def coded(**changes: object) -> CodedTensor:
    """A tensor of six elements, four of them left, with whatever is changed."""
    fields = {
        "name": "w",
        "shape": (2, 3),
        "positions": np.array([0, 1, 3, 5]),
        "codes": np.array([0, 2, 1, 0]),
        "codebook": Codebook(ROW, 2),
        **changes,
    }
    return CodedTensor(**fields)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: coded(element="float64"), f"w: found element 'float64', allowed {', '.join(ELEMENTS)}"),
        (lambda: coded(shape=(2, -3)), "w: found the shape (2, -3), allowed no negative axis"),
        (lambda: coded(shape=(1 << 16, 1 << 15)), "w: found 2147483648 elements, allowed at most 2147483647"),
        (lambda: coded(axes=(0, 0)), "w: found axes (0, 0), allowed an order of the 2 there are"),
        (lambda: coded(codes=np.array([0])), "w: found (1,) codes, allowed (4,)"),
        (lambda: coded(positions=np.array([0, 3, 1, 5])), "w: found positions out of order, or beyond 6 elements"),
        (lambda: coded(positions=np.array([0, 1, 3, 6])), "w: found positions out of order, or beyond 6 elements"),
        (lambda: coded(group_size=2), "w: found 1 groups, allowed 3"),
        (lambda: coded(codes=np.array([0, 3, 1, 0])), "w: found code 3, allowed below 3"),
        (lambda: coded(element="float16"), "w: found float32 centroids, allowed float16"),
        (lambda: coded(element="int4", codebook=Codebook(np.int8([-9, 0, 1]), 2)),
         "w: found a centroid beyond the range of int4"),
        (lambda: coded(element="int8", codebook=Grid(np.float32([1]), -1, 3, 2)),
         "w: found a grid of int8, allowed a codebook"),
        (lambda: coded(element="float16", codebook=Grid(np.float32([1e5]), -1, 3, 2)),
         "w: found a grid beyond the range of float16"),
        (lambda: Codebook(ROW, 9), "bits: found 9, allowed 1 to 8"),
        (lambda: Codebook(ROW, 1), "centroids: found 3, allowed at most 2 at 1 bits"),
        (lambda: Codebook(ROW[::-1], 2), "centroids: found unsorted values, allowed ascending order"),
        (lambda: Codebook(np.float32([0.0, -0.0]), 2), "centroids: found unsorted values, allowed ascending order"),
        (lambda: Codebook(np.float32([0, np.inf]), 2), "centroids: found NaN or infinity, allowed finite values"),
        (lambda: Grid(np.float32([0]), 0, 2, 1), "scales: found one that is not positive and finite"),
        (lambda: Grid(np.float32([1]), 0, 3, 1), "size: found 3, allowed 1 to 2"),
        (lambda: Grid(np.float32([1]), 1 << 16, 2, 1), "first: found 65536, allowed within 65,535 steps of zero"),
        (lambda: DenseTensor("b", np.float32([np.nan])), "b: found NaN or infinity, allowed finite values"),
        (lambda: DenseTensor("b", np.uint8([16]), "uint4"), "b: found a value beyond the range of uint4"),
    ],
)  # fmt: skip
def test_a_broken_invariant_is_told(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        build()
    assert str(caught.value) == message


def test_arrays_are_copied_and_cannot_be_changed() -> None:
    codes, centroids = np.array([0, 2, 1, 0], np.uint8), ROW.copy()
    tensor = coded(codes=codes, codebook=Codebook(centroids, 2))
    codes[:], centroids[:] = 1, 0
    assert tensor.dense().tolist() == [[-1, 2, 0], [0, 0, -1]]
    for array in (tensor.codes, tensor.positions, tensor.values()):
        with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
            array[...] = 0


def test_groups_and_axes_are_those_of_the_storage() -> None:
    grid = Grid(np.float32([1, 10, 100]), -1, 3, 2)
    codes = np.array([0, 2, 1, 2, 2, 0])
    tensor = coded(positions=None, codes=codes, codebook=grid, group_size=2, axes=(1, 0))
    assert tensor.stored_shape == (3, 2)
    assert tensor.dense().tolist() == [[-1, 0, 100], [1, 10, -100]]
    assert tensor.group_counts().tolist() == [2, 2, 2]
    assert tensor.restoring_axes == (1, 0)


def test_a_tensor_of_which_nothing_is_pruned_needs_no_positions() -> None:
    everything = coded(positions=np.arange(6), codes=np.zeros(6))
    assert everything.positions is None
    assert everything.places().tolist() == list(range(6))
