"""Who is told how a long job goes; the default says nothing."""

from typing import Protocol

__all__ = ["Observer", "Silent"]


class Observer(Protocol):
    """What the stages report while they work."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` steps of a stage are over; the last call of a stage has both equal."""
        ...

    def note(self, stage: str, text: str) -> None:
        """One line about what a stage found."""
        ...


class Silent:
    """An observer that keeps everything to itself."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say nothing."""

    def note(self, stage: str, text: str) -> None:
        """Say nothing."""
