"""How the points of a sweep are run, wherever that is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compress.errors import UsageError
from compress.recipe.recipe import Recipe
from deep_compress.studies.axes import Point

__all__ = ["TRIES", "Execute", "RunAll", "Settings"]

TRIES = 3
"""How often a point is started whose process ends without a word, before it counts as failed: one killed for memory
often ends well when it comes again alone, and one that always dies should not hold up the sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How points are run.

    Parameters
    ----------
    workers : int or "ray"
        1: here, one after another; more: so many processes; "ray": a Ray cluster.
    threads : int
        Threads of torch in every point.
    device : str
        auto, cpu or cuda.
    data_dirs : mapping of str to Path
        Data set → its directory, for those that are not at their usual place.
    ray_address : str, optional
        Of a cluster that runs already; one on this machine is started by default.
    """

    workers: int | str = 1
    threads: int = 1
    device: str = "auto"
    data_dirs: Mapping[str, Path] = field(default_factory=dict)
    ray_address: str | None = None

    def __post_init__(self) -> None:
        if self.workers != "ray" and not (isinstance(self.workers, int) and self.workers >= 1):
            raise UsageError(f"workers: found {self.workers!r}, allowed a whole number from 1 on, or ray")
        if self.threads < 1:
            raise UsageError(f"threads: found {self.threads}, allowed a whole number from 1 on")
        if self.ray_address is not None and self.workers != "ray":
            raise UsageError(f"ray-address: found with workers {self.workers}, allowed with workers ray")


Execute = Callable[[Recipe, Path, Settings], None]
"""Runs a recipe into a directory, which appears when all is done."""

RunAll = Callable[[Sequence[Point], Path], Iterator[tuple[Point, str | None]]]
"""Runs points into directories of one directory, and gives each with its error, or None, when it is done."""
