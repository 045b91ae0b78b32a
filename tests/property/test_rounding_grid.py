"""Laws of rounding to a grid: no value moves further than half a step, zero stays zero, codes fit their width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compress.elements import ELEMENTS, Element
from compress.representation import CodedTensor, Grid
from compress.rounding.methods import ROUNDINGS

FLOATING = [element for element in ELEMENTS.values() if element.floating]

HALF_AN_ULP = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Largest relative error of rounding to an element type; float16 may also lose what is below its smallest number."""
LEAST_FLOAT16 = float(np.finfo(np.float16).smallest_subnormal)

groups_of_floats = st.sampled_from([2.0**-66, 2.0**-10, 1.0, 300.0]).flatmap(
    lambda reach: st.lists(
        arrays(np.float32, st.integers(0, 40), elements=st.floats(-reach, reach, width=32, allow_subnormal=False)),
        min_size=1,
        max_size=4,
    )
)


def grid_of(groups: list[np.ndarray], bits: int, element: Element) -> tuple[Grid, list[np.ndarray]]:
    """The grid, and the codes of every group."""
    grid, codes = ROUNDINGS["grid"].fit(groups, bits, element)
    assert isinstance(grid, Grid)
    assert (codes.dtype, codes.size) == (np.uint8, sum(group.size for group in groups))
    return grid, np.split(codes, np.cumsum([group.size for group in groups])[:-1])


@given(groups_of_floats, st.integers(1, 8), st.sampled_from(FLOATING))
def test_codes_fit_their_width_and_zero_is_a_value_of_every_group(
    groups: list[np.ndarray], bits: int, element: Element
) -> None:
    grid, codes = grid_of(groups, bits, element)
    assert (grid.bits, grid.groups) == (bits, len(groups))
    assert grid.size == max(2**bits - 1, 2)
    assert grid.first <= 0 <= grid.first + grid.size - 1
    values = grid.values(element.dtype)
    assert (values[:, -grid.first] == 0).all()
    for group, own, row in zip(groups, codes, values, strict=True):
        assert own.max(initial=0) < grid.size
        assert (row[own][group == 0] == 0).all()
        assert (np.sign(row[own].astype(np.float32)) * np.sign(group) >= 0).all(), "no weight changes its sign"


@given(groups_of_floats, st.integers(2, 8), st.sampled_from(FLOATING))
def test_no_value_moves_further_than_half_a_step(groups: list[np.ndarray], bits: int, element: Element) -> None:
    grid, codes = grid_of(groups, bits, element)
    for group, own, row, scale in zip(groups, codes, grid.values(element.dtype), grid.scales, strict=True):
        moved = np.abs(row[own].astype(np.float64) - group)
        stored = HALF_AN_ULP[element.name] * np.abs(row[own].astype(np.float64))
        lost = LEAST_FLOAT16 if element.name == "float16" else 0.0
        assert (moved <= 0.500_01 * scale + stored * 1.01 + lost).all()


@given(groups_of_floats, st.sampled_from(FLOATING))
def test_one_bit_keeps_what_is_negative(groups: list[np.ndarray], element: Element) -> None:
    grid, codes = grid_of(groups, 1, element)
    assert (grid.first, grid.size) == (-1, 2)
    for group, own, scale in zip(groups, codes, grid.scales, strict=True):
        assert (own == (group / scale >= -0.5)).all(), "code 1 is zero, code 0 the largest magnitude, negative"


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("element", FLOATING, ids=lambda element: element.name)
def test_a_group_of_zeros_and_an_empty_one(element: Element, bits: int) -> None:
    groups = [np.zeros(3, np.float32), np.zeros(0, np.float32), np.array([-2, 2, 0], np.float32)]
    grid, [zeros, empty, _] = grid_of(groups, bits, element)
    assert grid.scales[:2].tolist() == [1, 1], "a scale is positive, even where nothing needs one"
    assert (zeros.tolist(), empty.tolist()) == ([-grid.first] * 3, [])


def test_the_largest_magnitude_is_the_last_value_by_hand() -> None:
    grid, [codes] = grid_of([np.array([-6, -1, -0.9, 0, 1.1, 5], np.float32)], 3, ELEMENTS["float32"])
    assert (grid.scales.tolist(), grid.first, grid.size) == ([2.0], -3, 7)
    assert codes.tolist() == [0, 3, 3, 3, 4, 5], "halves go to the even neighbour: -1 to 0, 5 to 4"
    tensor = CodedTensor(name="w", shape=(2, 3), positions=None, codes=codes, codebook=grid)
    assert tensor.dense().tolist() == [[-6, 0, 0], [0, 2, 4]]


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_largest_number_of_all_stays_finite(bits: int) -> None:
    largest = np.array([np.finfo(np.float32).max, 0, -np.finfo(np.float32).max], np.float32)
    grid, codes = ROUNDINGS["grid"].fit([largest], bits, ELEMENTS["float32"])
    tensor = CodedTensor(name="w", shape=(3,), positions=None, codes=codes, codebook=grid)
    assert np.isfinite(tensor.dense()).all()
