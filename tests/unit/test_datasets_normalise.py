"""From images to a network's input: padding, scale, channels, and what does not fit."""

import numpy as np
import pytest

from compress.datasets import Dataset, Examples, normalise
from compress.errors import DataError


def _dataset(images: np.ndarray, classes: int = 3, labels: tuple[int, ...] = (0, 2)) -> Dataset:
    channels = images.shape[1] if images.ndim == 4 else 1
    examples = Examples(images, np.array(labels, np.int64))
    return Dataset("made", examples, examples, classes, (0.5,) * channels, (0.25,) * channels)


def test_images_are_scaled_standardised_and_padded_with_black() -> None:
    images = np.zeros((2, 1, 2, 2), np.uint8)
    images[0, 0] = [[0, 255], [51, 102]]
    given = images.copy()
    found = normalise(_dataset(images), images, (1, 4, 6))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.shape == (2, 1, 4, 6)
    expected = np.full((4, 6), -2.0)
    expected[1:3, 2:4] = [[-2.0, 2.0], [-1.2, -0.4]]
    assert np.allclose(found[0, 0], expected, atol=1e-6)
    assert np.allclose(found[1], -2.0)
    assert np.array_equal(images, given)


def test_every_channel_has_its_own_mean_and_standard_deviation() -> None:
    images = np.full((2, 3, 1, 1), 255, np.uint8)
    examples = Examples(images, np.zeros(2, np.int64))
    dataset = Dataset("made", examples, examples, 1, (0.0, 0.5, 1.0), (1.0, 0.5, 0.25))
    assert normalise(dataset, images, (3, 1, 1))[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_grey_images_fit_a_network_for_colour() -> None:
    images = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    grey, colour = (normalise(_dataset(images), images, (channels, 2, 2)) for channels in (1, 3))
    assert np.array_equal(colour, np.repeat(grey, 3, axis=1))


@pytest.mark.parametrize(
    ("shape", "allowed"),
    [
        ((1, 2, 4), "1×2×4"),
        ((1, 5, 5), "1×5×5"),
        ((2, 4, 4), "2×4×4"),
        ((4, 4), "4×4"),
    ],
)
def test_an_input_that_does_not_fit_gets_one_line(shape: tuple[int, ...], allowed: str) -> None:
    images = np.zeros((2, 1, 4, 4), np.uint8)
    with pytest.raises(DataError) as caught:
        normalise(_dataset(images), images, shape)
    assert str(caught.value) == f"made: found images of 1×4×4, allowed what fits the network's input of {allowed}"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ((2, 4, 4), (0, 1), "found images of shape (2, 4, 4) and 2 labels"),
        ((2, 1, 4, 4), (0,), "found images of shape (2, 1, 4, 4) and 1 labels"),
        ((0, 1, 4, 4), (), "found images of shape (0, 1, 4, 4) and 0 labels"),
    ],
)
def test_images_without_a_label_each_get_one_line(
    images: tuple[int, ...], labels: tuple[int, ...], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        _dataset(np.zeros(images, np.uint8), labels=labels)
    assert str(caught.value) == f"made (train): {message}, allowed one label for each of at least one image"


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_gets_one_line(label: int) -> None:
    with pytest.raises(DataError) as caught:
        _dataset(np.zeros((2, 1, 4, 4), np.uint8), labels=(0, label))
    low, high = min(0, label), max(0, label)
    assert str(caught.value) == f"made (train): found a label {low} to {high}, allowed 0 to 2"
