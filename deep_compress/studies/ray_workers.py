"""Points of a sweep on a Ray cluster: workers send back the files, so that they need not share a disk with us."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compress.errors import CompressError, UnsupportedError, first_line
from compress.files import staged_directory
from compress.recipe.recipe import Recipe
from deep_compress.studies.axes import Point
from deep_compress.studies.settings import TRIES, Execute, RunAll, Settings

__all__ = ["ray_runner"]


@contextmanager
def ray_runner(settings: Settings, execute: Execute) -> Iterator[RunAll]:
    """Join a cluster, or start one here, and give the function that runs points on it.

    Raises
    ------
    UnsupportedError
        Ray is not installed, or the cluster is not reached.
    """
    try:
        import ray
    except ImportError as error:
        raise UnsupportedError(
            "workers: found ray, but it is not installed; pip install 'deep-compress[ray]'"
        ) from error

    started = not ray.is_initialized()
    if started:
        try:
            ray.init(
                address=settings.ray_address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
            )
        except (ConnectionError, ValueError) as error:
            raise UnsupportedError(
                f"ray-address: found {settings.ray_address!r}, which gives no cluster ({first_line(error)})"
            ) from error
    try:
        yield lambda points, directory: _on_ray(points, directory, settings, execute)
    finally:
        if started:
            ray.shutdown()


def _on_ray(
    points: Sequence[Point],
    directory: Path,
    settings: Settings,
    execute: Execute,
) -> Iterator[tuple[Point, str | None]]:
    import ray

    remote: Any = ray.remote(num_cpus=settings.threads, max_retries=TRIES - 1)(_work)
    pending = {remote.remote(execute, point.recipe.flat(), settings): point for point in points}
    try:
        while pending:
            (ready,), _ = ray.wait(list(pending), num_returns=1)
            point = pending.pop(ready)
            try:
                files, error = ray.get(ready)
            except ray.exceptions.WorkerCrashedError:
                files, error = {}, f"its worker ended {TRIES} times without a result"
            if error is None:
                with staged_directory(directory / point.name, force=False, marker="report.json") as stage:
                    for name, content in files.items():
                        (stage / name).write_bytes(content)
            yield point, error
    finally:
        for task in pending:
            ray.cancel(task, force=True)


def _work(execute: Execute, fields: dict[str, object], settings: Settings) -> tuple[dict[str, bytes], str | None]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        try:
            execute(Recipe.of(fields), place, settings)
        except CompressError as error:
            return {}, str(error)
        return {path.name: path.read_bytes() for path in sorted(place.iterdir())}, None
