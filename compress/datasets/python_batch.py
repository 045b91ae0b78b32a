"""A batch of CIFAR's Python version: its pixels and labels, read without executing the pickle it is.

A pickle is a program for a small machine that can call anything; nothing here
runs it. `pickletools.genops`, the standard library's disassembler, lists its
instructions with their literal arguments, and of these we take the two we look
for: the integers that follow the key of the labels, and the one string as long
as the pixels of that many images. Whatever else the program would do is never
done.
"""

import pickletools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.errors import DataError

__all__ = ["read_python_batch"]

_INTEGERS = {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1"}


def read_python_batch(
    path: Path, content: bytes, label_key: str, pixels_each: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Take the pixels and labels out of a batch.

    Parameters
    ----------
    path : Path
        Names the file in an error.
    content : bytes
        The file; its checksum should have been checked, for the layout of the array is taken for granted.
    label_key : str
        `labels` or `fine_labels`.
    pixels_each : int
        Bytes of one image.

    Returns
    -------
    pixels : uint8 [n, pixels_each]
    labels : int64 [n]

    Raises
    ------
    DataError
        The file is no pickle, or holds no such labels, or no such pixels.
    """
    labels: list[int] = []
    longest, collecting = b"", False
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if isinstance(argument, str | bytes) and opcode.stack_after:
                text = argument if isinstance(argument, bytes) else argument.encode("latin-1", "replace")
                collecting = text == label_key.encode()
                longest = max(longest, text, key=len)
            elif collecting and opcode.name in _INTEGERS and isinstance(argument, int):
                labels.append(argument)
    except (ValueError, IndexError, KeyError) as error:
        raise DataError(f"{path}: found no batch of CIFAR's Python version ({error})") from error
    if not labels or len(longest) != len(labels) * pixels_each:
        raise DataError(
            f"{path}: found {len(labels)} {label_key} and {len(longest)} bytes of pixels, "
            f"allowed {pixels_each} bytes for every label"
        )
    return np.frombuffer(longest, np.uint8).reshape(-1, pixels_each), np.array(labels, np.int64)
