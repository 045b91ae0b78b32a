"""Data sets, one loader a file, all of them listed in DATASETS. None of this needs torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from compress.datasets import cifar_10, cifar_100, fashion_mnist, folder, mnist
from compress.datasets.dataset import Dataset, Examples, normalise
from compress.errors import UsageError
from compress.spelling import parse, spell

__all__ = ["DATASETS", "Dataset", "Examples", "canonical_data", "load_dataset", "normalise"]

DATASETS: Mapping[str, Callable[..., Dataset]] = MappingProxyType(
    {
        "mnist": mnist.load,
        "fashion-mnist": fashion_mnist.load,
        "cifar-10": cifar_10.load,
        "cifar-100": cifar_100.load,
        "folder": folder.load,
    }
)
"""Name of a data set → its loader, which takes a directory or None for its usual place, and options as keywords."""


def canonical_data(text: str) -> str:
    """The one form of what names a data set: `mnist`, `cifar-10:PATH`, `folder(size=64,colour=true):PATH`.

    >>> canonical_data("folder(size=64,colour=false):photos")
    'folder(size=64):photos'

    Raises
    ------
    UsageError
        An unknown data set or option, or an empty path.
    """
    name, colon, path = text.partition(":")
    if colon and not path:
        raise UsageError(f"data: found {text!r}, allowed a path behind the colon")
    return spell(*parse("data", name, DATASETS), DATASETS) + colon + path


def load_dataset(text: str, directory: Path | None = None) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    text : str
        What names it, see `canonical_data`; `NAME:PATH` is `NAME` with PATH as its directory.
    directory : Path, optional
        Where it lies; without it, its usual place.

    Raises
    ------
    UsageError
        See `canonical_data`; or two directories.
    DataError
        Files that are missing, damaged, or not what they claim to be.
    """
    name, _, path = canonical_data(text).partition(":")
    if path and directory is not None:
        raise UsageError(f"data: found {text!r} and the directory {directory}, allowed one of them")
    key, options = parse("data", name, DATASETS)
    return DATASETS[key](Path(path) if path else directory, **options)
