"""Stand-ins for a full run that a worker process can import: quick, and killed or failing when told to."""

import json
import os
import signal
from pathlib import Path

from stand_in_reports import run_report

from compress.errors import CompressError
from compress.files import staged_directory
from compress.recipe.recipe import Recipe
from deep_compress.studies import Settings

__all__ = ["execute", "execute_killed_once"]

MARK = "KILLED_ONCE"


def execute(recipe: Recipe, directory: Path, settings: Settings) -> None:
    """Write what a run of this recipe would, or fail where the sparsity is 0.13."""
    if recipe.pruning.sparsity == 0.13:
        raise CompressError("train: the loss is no longer finite in epoch 1")
    accuracy = 99 - recipe.pruning.sparsity - 1 / sum(recipe.sharing.bits.values())
    report = run_report(
        recipe=recipe.flat(),
        sparsity=recipe.pruning.sparsity,
        dense_bytes=1000,
        file_bytes=round(100 * sum(recipe.sharing.bits.values()) * (1 - recipe.pruning.sparsity)),
        ratio=10.0,
        dense_percent=99.0,
        file_percent=accuracy,
    )
    with staged_directory(directory, force=False, marker="report.json") as stage:
        (stage / "model.dcz").write_bytes(f"{recipe.seed} {recipe.pruning.sparsity} {recipe.sharing.bits}".encode())
        (stage / "report.json").write_text(json.dumps(report.to_json()), "utf-8")


def execute_killed_once(recipe: Recipe, directory: Path, settings: Settings) -> None:
    """As `execute`, but the first worker that comes to sparsity 0.5 is killed in the middle of its work."""
    mark = Path(os.environ[MARK])
    if recipe.pruning.sparsity == 0.5 and not mark.exists():
        mark.touch()
        with staged_directory(directory, force=False, marker="report.json") as stage:
            (stage / "half.txt").write_text("half", "utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
    execute(recipe, directory, settings)
