"""What is searched for, what a compression came to, and which of several is best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compress.errors import UsageError
from deep_compress.front import front_of
from deep_compress.search.space import Settings

__all__ = ["Goal", "Trial", "front", "provisional"]

_ROUNDING = 1e-9
"""Points that subtracting two percentages may be off by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is searched for: exactly one of the two.

    Parameters
    ----------
    max_drop : float, optional
        Points of accuracy that the file may lose against the dense network; the smallest file is wanted.
    target_bytes : int, optional
        Bytes that the file may have; the most accurate one is wanted.

    Raises
    ------
    UsageError
        Neither or both, or one outside what is allowed.
    """

    max_drop: float | None = None
    target_bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.max_drop is None) == (self.target_bytes is None):
            found = "neither" if self.max_drop is None else "both"
            raise UsageError(f"search: found {found} of max-drop and target-size, allowed one of them")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise UsageError(f"max-drop: found {self.max_drop:g}, allowed 0 to 100 points")
        if self.target_bytes is not None and self.target_bytes < 1:
            raise UsageError(f"target-size: found {self.target_bytes}, allowed at least 1 byte")

    def __str__(self) -> str:
        return f"drop{self.max_drop:g}" if self.max_drop is not None else f"{self.target_bytes}B"

    def is_met(self, trial: "Trial", dense: float) -> bool:
        """Whether a trial loses little enough, or is small enough; a failed one never."""
        if trial.error is not None:
            return False
        if self.max_drop is not None:
            return trial.percent >= dense - self.max_drop - _ROUNDING
        assert self.target_bytes is not None
        return trial.file_bytes <= self.target_bytes

    def best(self, trials: Sequence["Trial"], dense: float) -> "Trial | None":
        """Of those that meet the goal the smallest, or the most accurate."""
        met = [trial for trial in trials if self.is_met(trial, dense)]
        by_size = self.max_drop is not None
        return min(
            met,
            key=lambda t: (t.file_bytes, -t.percent) if by_size else (-t.percent, t.file_bytes),
            default=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Settings, and what a compression with them came to.

    Parameters
    ----------
    settings : Settings
    fields : mapping of str to value
        The fields of the recipe that they stand for.
    file_bytes : int
    percent : float
        Accuracy on held-out images.
    error : str, optional
        Why the compression failed; then the two numbers are the dense network's bytes, and zero.
    """

    settings: Settings
    fields: Mapping[str, Any] = field(repr=False)
    file_bytes: int
    percent: float
    error: str | None = None


def front(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Those that no other beats in both bytes and accuracy, the smallest first."""
    sound = [trial for trial in trials if trial.error is None]
    return tuple(sound[i] for i in front_of([(float(trial.file_bytes), -trial.percent) for trial in sound]))


def provisional(trials: Sequence[Trial], goal: Goal, dense: float) -> Trial | None:
    """What is best by the short trials alone; without one that meets the goal, the one nearest to it."""
    shown = front(trials)
    if not shown:
        return None
    return goal.best(shown, dense) or (shown[-1] if goal.max_drop is not None else shown[0])
