"""A labelled image data set in memory, and how its images become a network's input."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.errors import DataError

__all__ = ["Dataset", "Examples", "normalise"]


@dataclass(frozen=True, slots=True)
class Examples:
    """Images and their labels.

    Parameters
    ----------
    images : uint8 [n, channels, height, width]
    labels : int64 [n]
        0 to classes - 1.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.labels.size)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Training and test examples.

    Parameters
    ----------
    name : str
        Its key in DATASETS.
    train, test : Examples
    classes : int
        Number of classes; every label is below it.
    mean, standard_deviation : tuple of float
        Per channel, of the training pixels scaled to [0, 1].
    """

    name: str
    train: Examples
    test: Examples
    classes: int
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]

    def __post_init__(self) -> None:
        for part, examples in (("train", self.train), ("test", self.test)):
            images, labels = examples.images, examples.labels
            if images.ndim != 4 or len(images) != len(labels) or len(labels) == 0:
                raise DataError(
                    f"{self.name} ({part}): found images of shape {images.shape} and {len(labels)} labels, "
                    "allowed one label for each of at least one image"
                )
            if int(labels.min()) < 0 or int(labels.max()) >= self.classes:
                raise DataError(
                    f"{self.name} ({part}): found a label {labels.min()} to {labels.max()}, "
                    f"allowed 0 to {self.classes - 1}"
                )

    @property
    def channels(self) -> int:
        return int(self.train.images.shape[1])

    @property
    def size(self) -> int:
        """The larger of height and width."""
        return int(max(self.train.images.shape[2:]))


def normalise(dataset: Dataset, images: NDArray[np.uint8], input_shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Turn images into a network's input: zero-pad to its height and width, scale to [0, 1], standardise.

    Parameters
    ----------
    dataset : Dataset
        Gives mean and standard deviation.
    images : uint8 [n, channels, height, width]
    input_shape : (channels, height, width)
        Not smaller than the images; a difference is padded evenly on both sides, black. Where it has three channels
        and the images one, each gets the same.

    Returns
    -------
    float32 [n, channels, height, width]

    Raises
    ------
    DataError
        The network's input does not fit the images.
    """
    channels, height, width = images.shape[1:]
    extra = (input_shape[1] - height, input_shape[2] - width) if len(input_shape) == 3 else (-1, -1)
    if len(input_shape) == 3 and channels == 1 and input_shape[0] == 3:
        images, channels = np.repeat(images, 3, axis=1), 3
    if len(input_shape) != 3 or input_shape[0] != channels or min(extra) < 0 or extra[0] % 2 or extra[1] % 2:
        raise DataError(
            f"{dataset.name}: found images of {channels}×{height}×{width}, "
            f"allowed what fits the network's input of {'×'.join(map(str, input_shape))}"
        )
    pad = ((0, 0), (0, 0), (extra[0] // 2,) * 2, (extra[1] // 2,) * 2)
    scaled = np.pad(images, pad).astype(np.float32)
    scaled /= 255.0
    scaled -= np.asarray(dataset.mean, np.float32)[:, None, None]
    scaled /= np.asarray(dataset.standard_deviation, np.float32)[:, None, None]
    return scaled
