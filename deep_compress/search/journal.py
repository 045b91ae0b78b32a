"""What a long job has done so far, a JSON record a line, so that an interrupted one goes on where it stopped."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.errors import CompressError, UsageError
from compress.files import write_whole

__all__ = ["Journal"]

_MAX_BYTES = 1 << 28
"""A record is a few kilobytes: room for far more trials than anyone runs."""


class Journal:
    """Records in a file; the first says what job they belong to.

    A line that was cut off, because the machine stopped in the middle of writing it, is dropped.

    Parameters
    ----------
    path : Path
        In a directory that exists.
    head : mapping of str to value
        Everything that the records depend on.
    renew : bool
        Start anew where the file belongs to another job, in place of an error.

    Raises
    ------
    UsageError
        The file belongs to another job, or is no journal.
    CompressError
        It cannot be read or written.
    """

    def __init__(self, path: Path, head: Mapping[str, Any], *, renew: bool = False) -> None:
        self._path = path
        self._records: list[dict[str, Any]] = []
        head = json.loads(json.dumps(head))
        lines = _lines(path)
        try:
            found = [json.loads(line) for line in lines]
            strange = not all(isinstance(record, dict) for record in found)
        except ValueError:
            found, strange = [], True
        if not renew and strange:
            raise UsageError(f"{path}: found no records of a search, allowed another directory")
        if not renew and found and found[0] != head:
            raise UsageError(
                f"{path.parent}: found a search with other settings ({', '.join(_differing(found[0], dict(head)))}), "
                "allowed another directory; --force starts it anew"
            )
        if found and found[0] == head:
            self._records = found[1:]
        write_whole(path, "".join(json.dumps(record) + "\n" for record in [head, *self._records]).encode())

    @property
    def records(self) -> tuple[dict[str, Any], ...]:
        """All records in their order, without the head."""
        return tuple(self._records)

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record and flush it to the disk."""
        try:
            with self._path.open("ab") as file:
                file.write((json.dumps(record) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CompressError(f"{self._path}: cannot be written ({error.strerror})") from error
        self._records.append(json.loads(json.dumps(record)))


def _lines(path: Path) -> list[bytes]:
    """The complete lines of a file; none where there is no file."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CompressError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path}: found more than {_MAX_BYTES} bytes, allowed the records of a search")
    return content.split(b"\n")[:-1]


def _differing(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Names of what differs; of a mapping, the names in it."""
    names: list[str] = []
    for name in sorted({*found, *expected}):
        ours, theirs = expected.get(name), found.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            names += _differing(theirs, ours)
        elif ours != theirs:
            names.append(name)
    return names
