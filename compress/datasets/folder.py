"""A user's own images: a directory with one sub-folder a class, made square and small.

Classes are the sub-folders in alphabetical order. Names that begin with a dot
are left alone; every other file in a class must be an image that Pillow reads.
"""

import warnings
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.datasets.dataset import Dataset, Examples
from compress.errors import DataError, UsageError, first_line

__all__ = ["load"]


def load(
    directory: Path | None = None, *, size: int = 32, colour: bool = False, test: float = 0.2, split: int = 0
) -> Dataset:
    """Read the images, and hold some of every class out for the test.

    Parameters
    ----------
    directory : Path
    size : int
        Height and width that every image is resized to, whatever its shape.
    colour : bool
        Red, green and blue; grey otherwise.
    test : float
        Fraction of every class that is held out: rounded, at least one image, and never all.
    split : int
        Seed of the choice, which in every class depends on nothing else but its name and its sorted file names.

    Raises
    ------
    UsageError
        No directory, or an option that is not allowed.
    DataError
        The directory has fewer than two classes, a class has fewer than two images, or an image cannot be read.
    """
    if directory is None:
        raise UsageError("data: found folder without a place, allowed folder:PATH, or --data-dir PATH")
    if not 1 <= size <= 1024 or test == 0:
        raise UsageError(f"data: folder: found size={size}, test={test:g}, allowed size 1 to 1024 and test above 0")
    classes = _classes(directory)
    train: list[tuple[NDArray[np.uint8], int]] = []
    held_out: list[tuple[NDArray[np.uint8], int]] = []
    for label, (name, paths) in enumerate(classes.items()):
        count = min(max(1, round(test * len(paths))), len(paths) - 1)
        generator = np.random.default_rng([split, zlib.crc32(name.encode())])
        chosen = set(generator.permutation(len(paths))[:count].tolist())
        for number, path in enumerate(paths):
            (held_out if number in chosen else train).append((_read(path, size, colour=colour), label))
    examples = _examples(train)
    pixels = examples.images.astype(np.float64) / 255
    return Dataset(
        name="folder",
        train=examples,
        test=_examples(held_out),
        classes=len(classes),
        mean=tuple(float(value) for value in pixels.mean((0, 2, 3))),
        standard_deviation=tuple(max(float(value), 1 / 255) for value in pixels.std((0, 2, 3))),
    )


def _classes(directory: Path) -> dict[str, list[Path]]:
    if not directory.is_dir():
        raise DataError(
            f"{directory}: found no such directory, allowed one with a sub-folder of images for every class"
        )
    folders = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        raise DataError(f"{directory}: found {len(folders)} sub-folders, allowed at least 2, one for every class")
    classes = {}
    for folder in folders:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        if len(paths) < 2:
            raise DataError(
                f"{folder}: found {'1 image' if paths else 'no image'}, allowed at least 2, one of them for the test"
            )
        classes[folder.name] = paths
    return classes


def _read(path: Path, size: int, *, colour: bool) -> NDArray[np.uint8]:
    """One image as uint8 [channels, size, size]."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a suspiciously large image, or one that Pillow had to mend
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened)
                small = upright.convert("RGB" if colour else "L").resize((size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: found a file that is no readable image ({first_line(error)}), allowed images only"
        ) from error
    pixels = np.asarray(small, dtype=np.uint8)
    return pixels.transpose(2, 0, 1) if colour else pixels[None]


def _examples(pairs: list[tuple[NDArray[np.uint8], int]]) -> Examples:
    return Examples(np.stack([image for image, _ in pairs]), np.array([label for _, label in pairs], np.int64))
