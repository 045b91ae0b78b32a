"""Files and directories that appear whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from compress.errors import CompressError

__all__ = ["staged_directory", "write_together", "write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the destination, flush to the disk, then rename over it.

    Raises
    ------
    CompressError
        The place cannot be written; what stood there stays.
    """
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """As `write_whole`, for files that belong together: all are on the disk before the first takes its name.

    Raises
    ------
    CompressError
        One of the places cannot be written; what stood there stays.
    """
    beside = {path: path.with_name(f".{path.name}.{secrets.token_hex(4)}.part") for path in contents}
    path = Path()
    try:
        for path, content in contents.items():
            with beside[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path in contents:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        for path in contents:
            beside[path].replace(path)
    except OSError as error:
        for part in beside.values():
            part.unlink(missing_ok=True)
        raise CompressError(f"{path}: cannot be written ({error.strerror})") from error


@contextmanager
def staged_directory(path: Path, *, force: bool, marker: str) -> Iterator[Path]:
    """A directory to fill, which takes its name only when the block ends without an error.

    Parameters
    ----------
    path : Path
        Must not exist, or be an empty directory, unless `force`; what stood there is replaced at the very end.
    force : bool
    marker : str
        A file that tells a directory of ours: no other directory is ever replaced.

    Raises
    ------
    CompressError
        `path` exists already, or cannot be written: both are found out on entry.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())) and not force:
        raise CompressError(f"{path}: found an existing run, allowed a new place; --force replaces it")
    if path.exists() and not path.is_dir():
        raise CompressError(f"{path}: found a file, allowed a directory")
    if path.exists() and any(path.iterdir()) and not (path / marker).is_file():
        raise CompressError(f"{path}: found a directory without {marker}, allowed to replace only a run")
    stage = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    made = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stage.mkdir()
    except OSError as error:
        raise CompressError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        yield stage
        if path.exists():
            aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
            path.rename(aside)
            stage.rename(path)
            shutil.rmtree(aside)
        else:
            stage.rename(path)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
