"""Points of a sweep in processes of this machine, a fresh one for every point; one that is killed is tried again."""

import multiprocessing
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import cast

from compress.errors import CompressError
from compress.recipe.recipe import Recipe
from deep_compress.studies.axes import Point
from deep_compress.studies.settings import TRIES, Execute, Settings

__all__ = ["in_processes"]


def in_processes(
    points: Sequence[Point],
    directory: Path,
    settings: Settings,
    execute: Execute,
) -> Iterator[tuple[Point, str | None]]:
    """Run points, `settings.workers` at a time, and give each with its error, or None, when it is done.

    Parameters
    ----------
    points : sequence of Point
    directory : Path
    settings : Settings
    execute : callable
        Importable by its name in another process.
    """
    context = multiprocessing.get_context("spawn")
    waiting = deque((point, 1) for point in points)
    running: dict[int, tuple[SpawnProcess, Connection, Point, int]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < int(settings.workers):
                point, tries = waiting.popleft()
                receiving, sending = context.Pipe(duplex=False)
                arguments = (sending, execute, point.recipe.flat(), directory / point.name, settings)
                process = context.Process(target=_work, args=arguments, name=point.name)
                process.start()
                sending.close()
                running[process.sentinel] = (process, receiving, point, tries)
            for sentinel in wait(list(running)):
                process, receiving, point, tries = running.pop(cast("int", sentinel))
                process.join()
                told, error = _received(receiving)
                if not told and tries < TRIES:
                    _clear(directory, point)
                    waiting.appendleft((point, tries + 1))
                    continue
                if not told:
                    error = f"its process ended {tries} times without a result (exit code {process.exitcode})"
                yield point, error
    finally:
        for process, *_ in running.values():
            process.terminate()
        for process, _, point, _ in running.values():
            process.join()
            _clear(directory, point)


def _received(receiving: Connection) -> tuple[bool, str | None]:
    try:
        error: str | None = receiving.recv()
    except EOFError:
        return False, None
    finally:
        receiving.close()
    return True, error


def _clear(directory: Path, point: Point) -> None:
    """Remove what a killed process left half-done."""
    for stage in directory.iterdir():
        if stage.name.startswith(f".{point.name}.") and stage.name.endswith(".part"):
            shutil.rmtree(stage)


def _work(
    sending: Connection,
    execute: Execute,
    fields: dict[str, object],
    place: Path,
    settings: Settings,
) -> None:
    try:
        execute(Recipe.of(fields), place, settings)
    except CompressError as error:
        sending.send(str(error))
    except KeyboardInterrupt:
        pass  # the parent was interrupted too, and tells
    else:
        sending.send(None)
