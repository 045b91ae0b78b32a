"""How far outputs are from what they should be: fractions of their largest magnitude, infinite where none fits."""

import numpy as np
import pytest

from compress.output_error import OutputError, output_error

INFINITE = OutputError(np.inf, np.inf, np.inf)


def outputs(**arrays: list[float]) -> dict[str, np.ndarray]:
    """`y0` is the output y of feed 0."""
    return {f"{key[-1]}/{key[:-1]}": np.array(values, np.float32) for key, values in arrays.items()}


def test_equal_outputs_have_no_error() -> None:
    wanted = outputs(y0=[1, -2], z0=[0, 0])
    assert output_error(wanted, outputs(y0=[1, -2], z0=[0, 0])) == OutputError(0, 0, 0)
    assert output_error({}, {}) == OutputError(0, 0, 0)


def test_differences_are_fractions_of_the_largest_magnitude() -> None:
    found = output_error(outputs(y0=[1, -4, 0, 2]), outputs(y0=[1, -3, 0, 2]))
    assert found == OutputError(worst=0.25, mean=0.0625, square=0.015625)


def test_the_scale_of_an_output_is_that_of_all_feeds() -> None:
    wanted, found = outputs(y0=[1, 1], y1=[10, 0]), outputs(y0=[2, 1], y1=[10, 0])
    assert output_error(wanted, found) == OutputError(worst=pytest.approx(0.1), mean=0.05, square=pytest.approx(0.0025))


def test_every_output_has_a_scale_of_its_own() -> None:
    found = output_error(outputs(large0=[100, 0], small0=[1, 0]), outputs(large0=[101, 0], small0=[1.5, 0]))
    assert found.worst == 0.5, "of the small one; of the large one 0.01"
    assert found.mean == 0.25, "the output that differs most on average, not the mean of both"
    assert found.square == pytest.approx(0.125 + 0.5e-4), "the sum over the outputs"


def test_squares_are_the_mean_over_the_feeds() -> None:
    assert output_error(outputs(y0=[2], y1=[2]), outputs(y0=[1], y1=[2])).square == 0.125


def test_an_output_of_zeros_has_the_scale_of_the_smallest_normal_number() -> None:
    tiny = float(np.finfo(np.float32).tiny)
    assert output_error(outputs(y0=[0, 0]), outputs(y0=[0, 2 * tiny])).worst == 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_where_it_should_be_is_an_infinite_error(wrong: float) -> None:
    assert output_error(outputs(y0=[1, 2]), outputs(y0=[1, wrong])) == INFINITE
    assert output_error(outputs(y0=[1, wrong]), outputs(y0=[1, 2])) == INFINITE
    assert output_error(outputs(y0=[1, 2], y1=[3, 4]), outputs(y0=[1, 2], y1=[3, wrong])) == INFINITE


def test_what_is_not_finite_in_the_same_places_does_not_count() -> None:
    wanted = outputs(y0=[np.nan, np.inf, 2, 1], z0=[np.nan])
    assert output_error(wanted, outputs(y0=[np.nan, np.inf, 2, 1], z0=[np.nan])) == OutputError(0, 0, 0)
    assert output_error(wanted, outputs(y0=[np.nan, np.inf, 1, 1], z0=[np.nan])).worst == 0.5


@pytest.mark.parametrize("found", [{}, outputs(z0=[1, 2]), outputs(y1=[1, 2]), outputs(y0=[1, 2], z0=[1])])
def test_other_names_are_an_infinite_error(found: dict[str, np.ndarray]) -> None:
    assert output_error(outputs(y0=[1, 2]), found) == INFINITE


@pytest.mark.parametrize("shape", [(3,), (1, 2), (2, 1), (0,)])
def test_another_shape_is_an_infinite_error(shape: tuple[int, ...]) -> None:
    assert output_error(outputs(y0=[1, 2]), {"0/y": np.ones(shape, np.float32)}) == INFINITE


def test_names_with_slashes_and_empty_outputs() -> None:
    wanted = {"0/scope/y": np.array([2.0], np.float16), "0/none": np.zeros((0, 3), np.float32)}
    found = {"0/scope/y": np.array([1.0], np.float16), "0/none": np.zeros((0, 3), np.float32)}
    assert output_error(wanted, found) == OutputError(worst=0.5, mean=0.5, square=0.25)
