"""The IDX files of the MNIST family: found, decompressed, checked by SHA-256, parsed."""

import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from compress.datasets.dataset import Dataset, Examples
from compress.datasets.sums import check_sum, read_sums
from compress.errors import DataError

__all__ = ["read_idx_dataset"]

_MAX_BYTES = 1 << 28
"""Decompressed bytes at which reading ends: over five times the largest file of MNIST, and too few to fill a memory."""

_OPENERS: Mapping[str, Callable[[BinaryIO], BinaryIO]] = {
    "": lambda stream: stream,
    ".gz": lambda stream: cast(BinaryIO, gzip.GzipFile(fileobj=stream)),
    ".xz": lambda stream: cast(BinaryIO, lzma.LZMAFile(stream)),  # noqa: SIM115 - the caller closes it
}


def read_idx_dataset(
    name: str, directory: Path, official: Mapping[str, str], *, classes: int, mean: float, standard_deviation: float
) -> Dataset:
    """Read the four IDX files of a data set, each plain or compressed (.gz, .xz).

    Parameters
    ----------
    name : str
    directory : Path
        Where it holds a `SHA256SUMS`, that counts instead of `official`.
    official : mapping of str to str
        File name → SHA-256 of the decompressed file.
    classes : int
    mean, standard_deviation : float

    Raises
    ------
    DataError
        A file is missing, cannot be decompressed, has another checksum, or is no IDX file.
    """
    if not directory.is_dir():
        raise DataError(f"{directory}: found no such directory, allowed one that holds the four IDX files")
    sums = read_sums(directory) or official
    return Dataset(
        name=name,
        train=_read_examples(directory, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", sums),
        test=_read_examples(directory, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", sums),
        classes=classes,
        mean=(mean,),
        standard_deviation=(standard_deviation,),
    )


def _read_examples(directory: Path, images: str, labels: str, sums: Mapping[str, str]) -> Examples:
    pixels = _parse(images, _read(directory, images, sums), axes=3)
    classes = _parse(labels, _read(directory, labels, sums), axes=1)
    if len(pixels) != len(classes):
        raise DataError(f"{labels}: found {len(classes)} labels, allowed {len(pixels)}, one for each image")
    return Examples(pixels[:, None], classes.astype(np.int64))


def _read(directory: Path, name: str, sums: Mapping[str, str]) -> bytes:
    for suffix, opener in _OPENERS.items():
        path = directory / (name + suffix)
        if not path.is_file():
            continue
        try:
            with opener(io.BytesIO(path.read_bytes())) as stream:
                content = stream.read(_MAX_BYTES + 1)
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise DataError(f"{path}: found a file that cannot be read or decompressed ({error})") from error
        if len(content) > _MAX_BYTES:
            raise DataError(f"{path}: found more than {_MAX_BYTES} bytes, allowed at most that")
        check_sum(path, name, content, sums)
        return content
    raise DataError(f"{directory}: found no {name}, allowed that file, plain, as .gz or as .xz")


def _parse(name: str, content: bytes, axes: int) -> NDArray[np.uint8]:
    start = 4 + 4 * axes
    if len(content) < start or content[:4] != bytes((0, 0, 8, axes)):
        raise DataError(
            f"{name}: found {content[:4].hex() or 'an empty file'}, allowed an IDX file of bytes, {axes} axes"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", axes, 4))
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        raise DataError(f"{name}: found {len(content)} bytes, allowed {expected} for a shape of {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
