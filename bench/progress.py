"""How far a measurement is: what it tells its caller while it runs."""

from collections.abc import Callable

__all__ = ["Progress", "Steps"]

Progress = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and the label of the one that begins."""


class Steps:
    """Counts the steps of a measurement for the progress callback, if there is one."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def take(self, label: str) -> None:
        """Tell that a step begins; after the last, that all are done."""
        if self._progress:
            self._progress(self._done, self._total, label)
        self._done += 1
