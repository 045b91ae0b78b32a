"""Sweeps above the rooms: axes to points, points to full runs, results to tables; the named studies, one a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from compress.errors import CompressError
from compress.names import known_name
from compress.observer import Observer, Silent
from deep_compress.studies import a, b, c, d, e, han
from deep_compress.studies.axes import Point, change_points, choose_points, load_axes, points_of
from deep_compress.studies.results import write_results
from deep_compress.studies.settings import Settings
from deep_compress.studies.study import Study
from deep_compress.studies.sweep import Outcome, sweep

__all__ = ["STUDIES", "Outcome", "Point", "Settings", "Study", "load_axes", "points_of", "run_sweep"]

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "study-a": a.STUDY,
        "study-b": b.STUDY,
        "study-c": c.STUDY,
        "study-d": d.STUDY,
        "study-e": e.STUDY,
        "han": han.STUDY,
    }
)
"""Name of a study → its points and what it writes."""

_SILENT = Silent()


def run_sweep(
    axes: str,
    *,
    only: Sequence[tuple[str, str]] = (),
    changes: Mapping[str, Any] | None = None,
    out: Path | None = None,
    settings: Settings | None = None,
    observer: Observer = _SILENT,
) -> tuple[Path, tuple[Outcome, ...]]:
    """Run a named study or a file of axes, and write its tables and plots beside the runs.

    Parameters
    ----------
    axes : str
        Key in STUDIES, or the path of a YAML file of axes.
    only : sequence of (str, str)
        Axis and value: the points that have it, others left out. An axis may be named more than once.
    changes : mapping of str to value, optional
        Fields of the recipe that all points take another value for, such as a limit on the training images.
    out : Path, optional
        Directory of the sweep; `runs/<name>` by default. Complete points in it are not run again.
    settings : Settings, optional
    observer : Observer

    Returns
    -------
    Path, tuple of Outcome

    Raises
    ------
    UsageError
        Bad axes, one line each, before anything is trained.
    CompressError
        Points failed: which, and why. The tables of the others are written.
    """
    is_file = Path(axes).suffix in (".yaml", ".yml")
    study = None if is_file else STUDIES[known_name("sweep", axes, STUDIES)]
    points = study.points() if study else load_axes(Path(axes))
    points = change_points(choose_points(points, only), changes or {})
    directory = out or Path("runs") / (Path(axes).stem if is_file else axes)
    outcomes = sweep(points, directory, settings or Settings(), observer=observer)
    write_results(outcomes, directory)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        lines = "\n".join(f"{outcome.point.name}: {outcome.error}" for outcome in failed)
        raise CompressError(f"{len(failed)} of {len(points)} points failed\n{lines}")
    if study:
        study.write(outcomes, directory)
    return directory, outcomes
