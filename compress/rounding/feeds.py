"""Files of arrays (.npz): what networks are fed and what they give, between who asks and the process that runs them.

Feeds are stored as "number/input", outputs as "number/output".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_arrays", "load_feeds", "save_arrays", "save_feeds"]


def load_arrays(path: Path | str) -> dict[str, NDArray[Any]]:
    """All arrays of a file by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def save_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name."""
    np.savez(path, allow_pickle=False, **arrays)


def load_feeds(path: Path | str) -> list[dict[str, NDArray[Any]]]:
    """The feeds of a file, each an array for every input, in the order of their numbers."""
    feeds: dict[int, dict[str, NDArray[Any]]] = {}
    for key, array in load_arrays(path).items():
        number, name = key.split("/", 1)
        feeds.setdefault(int(number), {})[name] = array
    return [feed for _, feed in sorted(feeds.items())]


def save_feeds(path: Path | str, feeds: Sequence[Mapping[str, NDArray[Any]]]) -> None:
    """Write feeds."""
    save_arrays(path, {f"{number}/{name}": array for number, feed in enumerate(feeds) for name, array in feed.items()})
