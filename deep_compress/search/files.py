"""What a search leaves to read: the chosen recipe, everything that was tried as CSV, the front as a plot, a summary."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compress.files import write_whole
from compress.recipe.recipe import Recipe
from deep_compress.search.goal import Goal, Trial, front
from deep_compress.search.plots import plot_front

__all__ = ["goal_as_json", "summary_of", "write_choice"]


def goal_as_json(goal: Goal) -> dict[str, float | int]:
    """The goal as plain values."""
    if goal.max_drop is not None:
        return {"max_drop": goal.max_drop}
    assert goal.target_bytes is not None
    return {"target_bytes": goal.target_bytes}


def summary_of(
    goal: Goal, dense_bytes: int, dense: float, trials: Sequence[Trial], finalists: Sequence[Trial], chosen: Trial
) -> dict[str, Any]:
    """What `search.json` holds.

    Parameters
    ----------
    goal : Goal
    dense_bytes : int
        Of the dense network as float32.
    dense : float
        Its accuracy on held-out images, in percent, as all accuracies here.
    trials, finalists : sequence of Trial
        Short, and full compressions.
    chosen : Trial
    """
    return {
        "format": 1,
        "goal": goal_as_json(goal),
        "dense": {"bytes": dense_bytes, "held_out_percent": dense},
        "trials": len(trials),
        "failed": [trial.error for trial in [*trials, *finalists] if trial.error is not None],
        "front": [_entry(trial) for trial in front(trials)],
        "finalists": [_entry(trial) for trial in finalists if trial.error is None],
        "chosen": _entry(chosen),
    }


def _entry(trial: Trial) -> dict[str, Any]:
    return {
        "file_bytes": trial.file_bytes,
        "held_out_percent": trial.percent,
        "sparsity": trial.fields["sparsity"],
        "layers": {
            layer: {"sparsity": sparsity, "bits": trial.fields["bits"][layer]}
            for layer, sparsity in trial.fields["layer_sparsity"].items()
        },
    }


def write_choice(
    directory: Path,
    recipe: Recipe,
    goal: Goal,
    dense: float,
    trials: Sequence[Trial],
    finalists: Sequence[Trial],
    chosen: Trial,
) -> None:
    """Write recipe.yaml, trials.csv and front.png."""
    write_whole(directory / "recipe.yaml", recipe.to_yaml().encode())
    write_whole(directory / "trials.csv", _csv(trials, finalists, chosen).encode())
    sound = [trial for trial in finalists if trial.error is None]
    lines: dict[str, tuple[str, float]] = {"dense": ("y", dense)}
    if goal.max_drop is not None:
        lines[f"{goal.max_drop:g} points below"] = ("y", dense - goal.max_drop)
        wanted = f"smallest file within {goal.max_drop:g} points"
    else:
        assert goal.target_bytes is not None
        lines[f"{goal.target_bytes:,} bytes"] = ("x", float(goal.target_bytes))
        wanted = f"most accurate file within {goal.target_bytes:,} bytes"
    plot_front(
        directory / "front.png",
        f"{recipe.network} on {recipe.data.partition(':')[0]}: {wanted}",
        [_pair(trial) for trial in trials if trial.error is None],
        [_pair(trial) for trial in front(trials)],
        [_pair(trial) for trial in sound],
        _pair(chosen),
        lines,
    )


def _pair(trial: Trial) -> tuple[float, float]:
    return float(trial.file_bytes), trial.percent


def _csv(trials: Sequence[Trial], finalists: Sequence[Trial], chosen: Trial) -> str:
    shown = {id(trial) for trial in front(trials)}
    rows: list[dict[str, Any]] = []
    for kind, group in (("short", trials), ("full", finalists)):
        for number, trial in enumerate(group, start=1):
            row = {
                "compression": kind,
                "number": number,
                "front": int(id(trial) in shown),
                "chosen": int(trial is chosen),
                "file_bytes": trial.file_bytes,
                "held-out percent": trial.percent,
                "error": trial.error or "",
                "sparsity": trial.fields["sparsity"],
            }
            for layer, sparsity in trial.fields["layer_sparsity"].items():
                row |= {f"sparsity {layer}": sparsity, f"bits {layer}": trial.fields["bits"][layer]}
            rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
