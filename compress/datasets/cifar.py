"""The files of CIFAR-10 and CIFAR-100: found, checked, parsed; the binary version, and the Python version unexecuted.

Krizhevsky: Learning multiple layers of features from tiny images (2009); both
forms are described beside the download. In the binary version an image is its
labels, a byte each, then 3,072 bytes of pixels: red, green, blue, each 32 × 32.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.datasets.dataset import Dataset, Examples
from compress.datasets.download import fetch
from compress.datasets.python_batch import read_python_batch
from compress.datasets.sums import check_sum, read_sums
from compress.errors import DataError

__all__ = ["PIXELS", "CifarForm", "read_cifar"]

PIXELS = 3 * 32 * 32
"""Bytes of one image without its labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CifarForm:
    """How one of the two data sets lies on disk.

    Parameters
    ----------
    name : str
    classes : int
    label_bytes : int
        Labels of an image in the binary version; the last one counts.
    label_key : str
        Key of that label in the Python version.
    binary, python : str
        Folders that the two archives unpack to.
    train, test : tuple of str
        File names of the binary version, without the suffix .bin, in order; in the Python version without any.
    images : int
        Images of one file, by name where they differ.
    sums : mapping of str to str
        SHA-256 of the binary files; empty where we know of none, and the length alone is checked.
    python_sums : mapping of str to str
        MD5 of the Python files, as the distribution gives them.
    archive : str
        Name of torchvision's class that knows where the archive is.
    mean, standard_deviation : tuple of float
    """

    name: str
    classes: int
    label_bytes: int
    label_key: str
    binary: str
    python: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    images: Mapping[str, int]
    sums: Mapping[str, str] = field(repr=False)
    python_sums: Mapping[str, str] = field(repr=False)
    archive: str
    mean: tuple[float, float, float]
    standard_deviation: tuple[float, float, float]


def read_cifar(form: CifarForm, directory: Path | None) -> Dataset:
    """Read the batches in `directory`, or in the folder of the archive below it.

    Parameters
    ----------
    form : CifarForm
    directory : Path or None
        A `SHA256SUMS` beside the files counts instead of the official checksums. Without a directory, what torchvision
        downloads, which is the Python version.

    Raises
    ------
    DataError
        A file is missing, has another length or checksum, or a label out of range, or the download fails.
    """
    if directory is None:
        directory = _download(form)
    if not directory.is_dir():
        raise DataError(f"{directory}: found no such directory, allowed one that holds the batches of {form.name}")
    for folder in (directory, directory / form.binary, directory / form.python):
        for suffix in (".bin", ""):
            if (folder / (form.train[0] + suffix)).is_file():
                return Dataset(
                    name=form.name,
                    train=_read_examples(form, folder, form.train, suffix),
                    test=_read_examples(form, folder, form.test, suffix),
                    classes=form.classes,
                    mean=form.mean,
                    standard_deviation=form.standard_deviation,
                )
    raise DataError(
        f"{directory}: found no {form.train[0]}.bin, allowed a directory with the files of {form.binary} or "
        f"{form.python}, or with one of these folders"
    )


def _read_examples(form: CifarForm, folder: Path, names: tuple[str, ...], suffix: str) -> Examples:
    sums = read_sums(folder)
    parts = []
    for name in names:
        path = folder / (name + suffix)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise DataError(f"{folder}: found no {path.name}, allowed every batch of {form.name}") from None
        except OSError as error:
            raise DataError(f"{path}: found a file that cannot be read ({error.strerror})") from error
        parts.append(_parse_binary(form, path, content, sums) if suffix else _parse_python(form, path, content, sums))
    return Examples(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


def _parse_binary(form: CifarForm, path: Path, content: bytes, sums: Mapping[str, str] | None) -> Examples:
    record = form.label_bytes + PIXELS
    expected = form.images[path.stem] * record
    if sums is None and len(content) != expected:
        raise DataError(f"{path}: found {len(content)} bytes, allowed {expected}, of {record} an image")
    if len(content) % record:
        raise DataError(f"{path}: found {len(content)} bytes, allowed a multiple of {record}, which is one image")
    if sums is not None or form.sums:
        check_sum(path, path.name, content, sums or form.sums)
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    return _examples(form, path, records[:, form.label_bytes :], records[:, form.label_bytes - 1].astype(np.int64))


def _parse_python(form: CifarForm, path: Path, content: bytes, sums: Mapping[str, str] | None) -> Examples:
    if sums is not None:
        check_sum(path, path.name, content, sums)
    else:
        check_sum(path, path.name, content, form.python_sums, algorithm="MD5")
    pixels, labels = read_python_batch(path, content, form.label_key, PIXELS)
    return _examples(form, path, pixels, labels)


def _examples(form: CifarForm, path: Path, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Examples:
    bad = np.flatnonzero((labels < 0) | (labels >= form.classes))
    if bad.size:
        raise DataError(f"{path}: found the label {labels[bad[0]]} on image {bad[0]}, allowed 0 to {form.classes - 1}")
    return Examples(pixels.reshape(-1, 3, 32, 32), labels)


def _download(form: CifarForm) -> Path:
    def work(cache: Path) -> None:
        from torchvision import datasets
        from torchvision.datasets.utils import download_and_extract_archive

        if not (cache / form.python).is_dir():
            archive = getattr(datasets, form.archive)
            download_and_extract_archive(archive.url, cache, filename=archive.filename, md5=archive.tgz_md5)

    return fetch(form.name, work, f"--data-dir with the files of {form.binary} or {form.python}")
