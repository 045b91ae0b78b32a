"""Data sets, one loader a file, all of them listed in DATASETS. None of this needs torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from compress.datasets import mnist
from compress.datasets.dataset import Dataset, Examples, normalise

__all__ = ["DATASETS", "Dataset", "Examples", "normalise"]

DATASETS: Mapping[str, Callable[[Path | None], Dataset]] = MappingProxyType(
    {
        "mnist": mnist.load,
    }
)
"""Name of a data set → its loader, which takes a directory or None for its usual place."""
