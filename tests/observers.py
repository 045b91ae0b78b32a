"""Who is told how a job goes, in the tests of what it is told."""

from compress.observer import Silent

__all__ = ["Notes"]


class Notes(Silent):
    """An observer that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    def note(self, stage: str, text: str) -> None:
        self.notes.append((stage, text))

    def of(self, stage: str) -> list[str]:
        """What one stage told."""
        return [text for own, text in self.notes if own == stage]
