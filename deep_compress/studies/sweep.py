"""Running the points of a sweep as full runs: one after another, in processes, or on a Ray cluster; resumable.

A point is complete when its directory holds a report of its recipe; `jobs.run` lets a directory appear only then. So
a sweep that was interrupted goes on where it stopped. Every point computes with the same number of threads wherever it
runs, as sums of floating-point numbers depend on it: the files are the same, byte for byte.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from compress.errors import CompressError, UsageError
from compress.names import known_name
from compress.observer import Observer, Silent
from compress.recipe.recipe import Recipe
from deep_compress import jobs
from deep_compress.jobs.run_report import RunReport, read_report
from deep_compress.studies.axes import Point
from deep_compress.studies.checks import check_points
from deep_compress.studies.settings import Execute, RunAll, Settings

__all__ = ["Outcome", "read_outcome", "run_point", "sweep"]

_SILENT = Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a point: its files and report, or the one line that says why there are none."""

    point: Point
    directory: Path
    report: RunReport | None
    error: str | None = None


def run_point(recipe: Recipe, directory: Path, settings: Settings) -> None:
    """Run one point here, with the settings' number of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        jobs.run(
            recipe,
            directory=directory,
            data_dir=settings.data_dirs.get(recipe.data),
            device=settings.device,
            targets=("onnx",),
        )
    finally:
        torch.set_num_threads(before)


def sweep(
    points: Sequence[Point],
    directory: Path,
    settings: Settings,
    *,
    observer: Observer = _SILENT,
    execute: Execute = run_point,
) -> tuple[Outcome, ...]:
    """Run every point that is not complete yet.

    Parameters
    ----------
    points : sequence of Point
    directory : Path
        Gets a directory a point.
    settings : Settings
    observer : Observer
        Told of every point that is done.
    execute : callable
        Runs a recipe into a directory, which appears when all is done; with several workers a function that another
        process can import.

    Returns
    -------
    tuple of Outcome
        One a point, in their order; a point that fails does not stop the others.

    Raises
    ------
    UsageError
        Two points of one name, a directory that holds the run of another recipe, or what `checks.check_points` finds:
        nothing is run.
    CompressError
        A data set cannot be read: nothing is run. On a cluster that runs already every point tells by itself, since
        its machines may have data that this one has not.
    """
    names = [point.name for point in points]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise UsageError(f"points: found {doubled} twice, allowed each once")
    for name in settings.data_dirs:
        known_name("data-dir", name, dict.fromkeys(point.recipe.data for point in points))
    complete = {point.name for point in points if _is_complete(point, directory)}
    waiting = [point for point in points if point.name not in complete]
    if settings.ray_address is None:
        check_points(waiting, settings.data_dirs, settings.device)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise CompressError(f"{directory}: cannot be written ({failure.strerror})") from failure
    if complete:
        observer.note("sweep", f"{len(complete)} of {len(points)} points are complete already")
    done = len(complete)
    observer.progress("sweep", done, len(points))
    errors: dict[str, str] = {}
    with _runner(settings, execute) as run_all:
        for point, error in run_all(waiting, directory):
            done += 1
            if error is None:
                observer.note("sweep", _line(read_outcome(point, directory)))
            else:
                errors[point.name] = error
                observer.note("sweep", f"{point.name}: failed ({error})")
            observer.progress("sweep", done, len(points))
    return tuple(
        Outcome(point=point, directory=directory / point.name, report=None, error=errors[point.name])
        if point.name in errors
        else read_outcome(point, directory)
        for point in points
    )


def read_outcome(point: Point, directory: Path) -> Outcome:
    """The outcome of a complete point."""
    place = directory / point.name
    return Outcome(point=point, directory=place, report=read_report(place / "report.json"))


def _is_complete(point: Point, directory: Path) -> bool:
    place = directory / point.name
    for stage in directory.glob(f".{_escaped(point.name)}.*.part"):
        shutil.rmtree(stage)
    if not place.exists():
        return False
    try:
        found = read_report(place / "report.json").recipe
    except BenchError as error:
        raise UsageError(f"{place}: found no complete run, allowed one of this sweep, or nothing") from error
    expected = json.loads(json.dumps(point.recipe.flat()))
    if found != expected:
        differing = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
        raise UsageError(f"{place}: found a run of another recipe ({', '.join(differing)}), allowed another directory")
    return True


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _line(outcome: Outcome) -> str:
    assert outcome.report is not None, "a complete point has one"
    accuracy, size = outcome.report.test.file.percent, outcome.report.file_bytes
    return f"{outcome.point.name}: {accuracy:.2f} % on the test set, {size:,} B"


@contextmanager
def _runner(settings: Settings, execute: Execute) -> Iterator[RunAll]:
    if settings.workers == "ray":
        from deep_compress.studies.ray_workers import ray_runner

        with ray_runner(settings, execute) as run_all:
            yield run_all
    elif settings.workers == 1:
        yield lambda points, directory: _here(points, directory, settings, execute)
    else:
        from deep_compress.studies.processes import in_processes

        yield lambda points, directory: in_processes(points, directory, settings, execute)


def _here(
    points: Sequence[Point], directory: Path, settings: Settings, execute: Execute
) -> Iterator[tuple[Point, str | None]]:
    for point in points:
        error = None
        try:
            execute(point.recipe, directory / point.name, settings)
        except CompressError as failure:
            error = str(failure)
        yield point, error
