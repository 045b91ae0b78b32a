"""Checksums of data files: read from `SHA256SUMS`, and checked."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from compress.errors import DataError

__all__ = ["check_sum", "read_sums"]


def read_sums(directory: Path) -> dict[str, str] | None:
    """File name → SHA-256 in hexadecimal, from `SHA256SUMS` in `directory`; None where there is no such file."""
    path = directory / "SHA256SUMS"
    if not path.is_file():
        return None
    try:
        lines = (line.split() for line in path.read_text("utf-8").splitlines() if line.strip())
        return {name.lstrip("*"): digest.lower() for digest, name in lines}
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: found no UTF-8 text, allowed lines of '<sha256>  <file name>'") from error
    except ValueError as error:
        raise DataError(f"{path}: found a line of another form, allowed '<sha256>  <file name>'") from error


def check_sum(
    path: Path, name: str, content: bytes, sums: Mapping[str, str], algorithm: Literal["SHA-256", "MD5"] = "SHA-256"
) -> None:
    """Raise `DataError` unless `content`, read from `path`, has the checksum that `sums` has for `name`.

    MD5 is for files whose distribution gives no other; it tells damage, not malice.
    """
    if name not in sums:
        raise DataError(f"{path.parent / 'SHA256SUMS'}: found no line for {name}, allowed one for every data file")
    hashed = hashlib.sha256(content) if algorithm == "SHA-256" else hashlib.md5(content, usedforsecurity=False)
    if hashed.hexdigest() != sums[name]:
        raise DataError(f"{path}: found {algorithm} {hashed.hexdigest()}, allowed {sums[name]}")
