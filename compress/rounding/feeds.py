"""Files of arrays (.npz): what networks are fed and what they give, between who asks and the process that runs them.

Feeds are stored as "number/input", outputs as "number/output".
"""

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressError, first_line

__all__ = ["load_arrays", "load_feeds", "save_arrays", "save_feeds"]


def load_arrays(path: Path | str) -> dict[str, NDArray[Any]]:
    """All arrays of a file by name.

    Raises
    ------
    CompressError
        The file cannot be read, or is no archive of arrays.
    """
    try:
        with Path(path).open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                raise CompressError(f"{path}: cannot be read as .npz (found one array, allowed arrays by name)")
            return {name: found[name] for name in found.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise CompressError(f"{path}: cannot be read as .npz ({first_line(error)})") from error


def save_arrays(path: Path | str, arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Write arrays with their names, one after the other, so that they need not all be held at once.

    Not by `numpy.savez`, whose own parameters are names that no array can have, one more of them in every version.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def load_feeds(path: Path | str) -> list[dict[str, NDArray[Any]]]:
    """The feeds of a file, each an array for every input, in the order of their numbers."""
    feeds: dict[int, dict[str, NDArray[Any]]] = {}
    for key, array in load_arrays(path).items():
        number, name = key.split("/", 1)
        feeds.setdefault(int(number), {})[name] = array
    return [feed for _, feed in sorted(feeds.items())]


def save_feeds(path: Path | str, feeds: Sequence[Mapping[str, NDArray[Any]]]) -> None:
    """Write feeds."""
    save_arrays(
        path, ((f"{number}/{name}", array) for number, feed in enumerate(feeds) for name, array in feed.items())
    )
