"""The last resort for data that is not on this machine: torchvision's download, into the user's cache."""

import os
from collections.abc import Callable
from pathlib import Path

from compress.errors import DataError, first_line

__all__ = ["fetch"]


def fetch(name: str, work: Callable[[Path], None], advice: str) -> Path:
    """Let `work` download into a directory of the cache, and return that directory.

    Parameters
    ----------
    name : str
        The data set.
    work : callable
        Leaves alone what is already there.
    advice : str
        How else the data can be given, for the error.

    Raises
    ------
    DataError
        torchvision is missing, the download fails, or its checksum is wrong.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    cache = (Path(home) if home else Path.home() / ".cache") / "deep-compress" / name
    try:
        work(cache)
    except (ImportError, OSError, RuntimeError) as error:
        raise DataError(
            f"{name}: found none here, and the download failed ({first_line(error)}), allowed {advice}"
        ) from error
    return cache
