"""What a named study is: its points, and what it writes from their results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from compress.files import write_whole
from deep_compress.jobs.run_report import RunReport
from deep_compress.studies.axes import Point
from deep_compress.studies.sweep import Outcome

__all__ = ["PLAIN", "Study", "report_of", "write_text"]

PLAIN: Mapping[str, Any] = MappingProxyType(
    {
        "optimiser": "sgd",
        "annealing": "constant",
        "warm_up": False,
        "weight_decay": 0.0,
        "shift": 0,
        "learning_rate": 0.01,
        "retrain_learning_rate": 0.01,
    }
)
"""Fields of a recipe that trains as the studies do: one learning rate, no penalty, images as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A sweep with a name, and its own tables and plots.

    Parameters
    ----------
    title : str
        One line for lists.
    points : callable
        Gives the points, all checked.
    write : callable
        From the outcomes and the sweep's directory: writes `study.md` and plots there. Every outcome has a report.
    """

    title: str
    points: Callable[[], tuple[Point, ...]]
    write: Callable[[Sequence[Outcome], Path], None]


def report_of(outcome: Outcome) -> RunReport:
    """The report of an outcome that has one."""
    assert outcome.report is not None
    return outcome.report


def write_text(directory: Path, *parts: str) -> None:
    """Write `study.md` from its parts."""
    write_whole(directory / "study.md", ("\n\n".join(parts) + "\n").encode())
