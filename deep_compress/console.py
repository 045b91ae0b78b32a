"""What the command line shows while it works: bars with the time left in a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Reporter"]

_PLAIN_EVERY_S = 10.0
"""Seconds between two lines of a stage where there is no terminal: a log of the main job stays under a screen."""


class Reporter:
    """An observer that writes to standard error; a context manager, so that bars end when the work does.

    Parameters
    ----------
    quiet : bool
        Say nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(file=sys.stderr, highlight=False)
        self._bars = self._console.is_terminal and not quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._bars,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._spoken: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage; without a terminal, a line every ten seconds."""
        if self._quiet:
            return
        if self._bars:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(stage, total=total)
            self._progress.update(self._tasks[stage], completed=done, total=total)
            return
        now = time.monotonic()
        start = self._started.setdefault(stage, now)
        if now - self._spoken.setdefault(stage, start) >= _PLAIN_EVERY_S and 0 < done < total:
            self._spoken[stage] = now
            left = (now - start) / done * (total - done)
            self._line(f"{stage}: {done}/{total}, about {left:.0f} s left")

    def note(self, stage: str, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            self._line(f"{stage}: {text}")

    def _line(self, text: str) -> None:
        if self._bars:
            self._progress.console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)
