"""The smallest file within a drop of accuracy, or the best accuracy within a size: sparsity and bits of every layer.

A sensitivity scan bounds what is tried; optuna's TPE tries it, each trial a short compression of the same dense
network; the chosen recipe is then a full run. All choices look at held-out images only: the test set is read once, by
that run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress import container
from compress.errors import CompressError, UnsupportedError, UsageError
from compress.observer import Observer, Silent
from compress.recipe import Recipe
from studies.results import front_of
from studies.sensitivity import Scan, plot_scan, scan

if TYPE_CHECKING:
    from torch import nn

    from compress.training import Batches

__all__ = ["Search", "Trial", "parse_size", "search"]

_SILENT = Silent()
_COLLAPSE = 30.0
"""Points that a layer may lose in the scan, without retraining, at the highest sparsity that is tried for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting, and what a short compression made of it.

    Parameters
    ----------
    fields : mapping of str to value
        Fields of the recipe that it sets.
    file_bytes : int
    percent : float
        Accuracy on held-out images.
    """

    fields: Mapping[str, Any]
    file_bytes: int
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search found.

    Parameters
    ----------
    dense_percent : float
        Of the dense network, on held-out images.
    sensitivity : Scan
    trials : tuple of Trial
    front : tuple of Trial
        Those that no other beats in both bytes and accuracy, the smallest first.
    chosen : Trial
    recipe : Recipe
        For the full run.
    """

    dense_percent: float
    sensitivity: Scan
    trials: tuple[Trial, ...]
    front: tuple[Trial, ...]
    chosen: Trial
    recipe: Recipe


def parse_size(text: str) -> int:
    """Bytes of a size such as `8kB`, `7.5 kB`, `900`, `1MB`, `4KiB`.

    >>> parse_size("8kB"), parse_size("4KiB"), parse_size("900")
    (8000, 4096, 900)

    Raises
    ------
    UsageError
        Another form, or less than one byte.
    """
    units = {"": 1, "b": 1, "kb": 1000, "mb": 10**6, "kib": 1024, "mib": 1 << 20}
    match = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].lower() not in units or float(match[1]) * units[match[2].lower()] < 1:
        raise UsageError(f"target-size: found {text!r}, allowed a size such as 8kB, 4KiB or 900")
    return int(float(match[1]) * units[match[2].lower()])


def search(
    recipe: Recipe,
    module: "nn.Module",
    train: "Batches",
    held_out: "Batches",
    *,
    max_drop: float | None = None,
    target_bytes: int | None = None,
    trials: int = 30,
    trial_epochs: int = 1,
    out: Path | None = None,
    observer: Observer = _SILENT,
) -> Search:
    """Search sparsity and bits, a layer each, from a trained network of the recipe.

    Parameters
    ----------
    recipe : Recipe
        What the search does not set.
    module : torch.nn.Module
        Trained; left as it is.
    train, held_out : Batches
    max_drop : float, optional
        Points of accuracy that may be lost on held-out images; the smallest file within is chosen.
    target_bytes : int, optional
        Bytes that the file may have; the most accurate one within is chosen. One of the two must be given.
    trials, trial_epochs : int
        Trials, and epochs of retraining in each.
    out : Path, optional
        Directory for `sensitivity.png`, `front.png`, and the chosen `recipe.yaml`.
    observer : Observer

    Returns
    -------
    Search

    Raises
    ------
    UsageError
        Neither or both of the goals, or one outside what is allowed.
    UnsupportedError
        optuna is not installed.
    CompressError
        No trial met the goal: how near the best one came.
    """
    if (max_drop is None) == (target_bytes is None):
        raise UsageError("search: found neither or both of max-drop and target-size, allowed one of them")
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise UsageError(f"max-drop: found {max_drop:g}, allowed 0 to 100 points")
    if trials < 1:
        raise UsageError(f"trials: found {trials}, allowed a whole number from 1 on")
    try:
        import optuna
    except ImportError as error:
        raise UnsupportedError("search: optuna is not installed; pip install 'deep-compress[search]'") from error
    from compress.graph import graph_of_zoo
    from compress.pipeline import compress_network

    graph = graph_of_zoo(recipe.network)
    shapes = {name: shape for name, shape in graph.parameters.items() if len(shape) > 1}
    found = scan(module, list(shapes), list(held_out), initialisation=recipe.initialisation, observer=observer)
    highest = {name: _highest(found, name) for name in shapes}
    done: list[Trial] = []

    def attempt(trial: "optuna.Trial") -> tuple[float, float]:
        layers = {name.removesuffix(".weight"): limit for name, limit in highest.items()}
        fields: dict[str, Any] = {
            "scope": "per-layer",
            "layer_sparsity": {
                layer: round(1 - trial.suggest_float(f"density {layer}", 1 - limit, 0.6, log=True), 4)
                for layer, limit in layers.items()
            },
            "bits": {layer: trial.suggest_int(f"bits {layer}", 2, 6) for layer in layers},
        }
        short = {"rounds": 1, "schedule": "one-shot", "retrain_epochs": trial_epochs, "tune_epochs": 0}
        result = compress_network(
            module, Recipe.of({**recipe.flat(), **fields, **short}), train=train, held_out=held_out, graph=graph
        )
        size, percent = len(container.dumps(result.model)), result.stages[-1].held_out_accuracy
        assert percent is not None
        done.append(Trial(fields=fields, file_bytes=size, percent=percent))
        observer.note("search", f"trial {len(done)}/{trials}: {size:,} B, {percent:.2f} % held-out")
        observer.progress("search", len(done), trials)
        return float(size), percent

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=optuna.samplers.TPESampler(seed=recipe.seed)
    )
    study.optimize(attempt, n_trials=trials)
    front = tuple(done[i] for i in front_of([(float(trial.file_bytes), -trial.percent) for trial in done]))
    chosen = _choose(front, found.dense, max_drop, target_bytes)
    result = Search(
        dense_percent=found.dense,
        sensitivity=found,
        trials=tuple(done),
        front=front,
        chosen=chosen,
        recipe=Recipe.of({**recipe.flat(), **chosen.fields}),
    )
    if out is not None:
        _write(result, out)
    return result


def _highest(found: Scan, name: str) -> float:
    """The highest scanned sparsity at which a layer alone does not break the network; at least 0.5."""
    good = [sparsity for sparsity, percent in found.pruned[name].items() if percent >= found.dense - _COLLAPSE]
    return max(good, default=0.5)


def _choose(front: tuple[Trial, ...], dense: float, max_drop: float | None, target_bytes: int | None) -> Trial:
    if max_drop is not None:
        within = [trial for trial in front if trial.percent >= dense - max_drop]
        if not within:
            best = front[-1]
            raise CompressError(
                f"max-drop: no trial stayed within {max_drop:g} points of {dense:.2f} %; the best had "
                f"{best.percent:.2f} % at {best.file_bytes:,} B; allow more, or more trials or trial-epochs"
            )
        return within[0]
    assert target_bytes is not None
    small = [trial for trial in front if trial.file_bytes <= target_bytes]
    if not small:
        raise CompressError(
            f"target-size: no trial came under {target_bytes:,} B; the smallest had {front[0].file_bytes:,} B"
        )
    return small[-1]


def _write(result: Search, out: Path) -> None:
    from compress.files import write_whole
    from studies.plots import plot_curves

    out.mkdir(parents=True, exist_ok=True)
    plot_scan(result.sensitivity, out / "sensitivity.png")
    write_whole(out / "recipe.yaml", result.recipe.to_yaml().encode())
    plot_curves(
        out / "front.png",
        f"The front of {len(result.trials)} short trials, on held-out images",
        ("bytes of the file", "accuracy, %"),
        {
            "front": ([t.file_bytes for t in result.front], [t.percent for t in result.front]),
            "chosen": ([result.chosen.file_bytes], [result.chosen.percent]),
        },
    )
