"""A search from raw data to files: everything kept as it comes in, and the chosen recipe run in full at the end.

An interrupted search goes on where it stopped: its directory holds the dense network, and a line for every layer that
was scanned, every trial and every full compression.
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from compress.errors import CompressError, UnsupportedError, UsageError
from compress.files import write_whole
from compress.observer import Observer, Silent
from compress.recipe.recipe import Recipe
from compress.training.checkpoint import dump_weights, read_weights
from deep_compress import jobs
from deep_compress.jobs.prepare import Prepared, prepare, train_dense
from deep_compress.jobs.run_report import RunReport
from deep_compress.search.files import goal_as_json, summary_of, write_choice
from deep_compress.search.finalists import choose
from deep_compress.search.goal import Goal, Trial, provisional
from deep_compress.search.journal import Journal
from deep_compress.search.scan import LayerScan, Scan, scan
from deep_compress.search.sensitivity import write_scan
from deep_compress.search.space import fields_of, space_of
from deep_compress.search.trials import run_trials, searchable

__all__ = ["SearchResult", "run_search"]

_SILENT = Silent()
_VERSIONS = ("deep-compress", "torch", "numpy", "optuna")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search found.

    Parameters
    ----------
    directory : Path
    summary : mapping
        As it stands in `search.json`.
    recipe : Recipe
        The chosen one.
    run : mapping or None
        The report of its full run; None where it was not run.
    """

    directory: Path
    summary: Mapping[str, Any]
    recipe: Recipe
    run: RunReport | None


def run_search(
    recipe: Recipe,
    goal: Goal,
    *,
    directory: Path | None = None,
    data_dir: Path | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    trials: int = 30,
    trial_epochs: int = 1,
    finalists: int = 6,
    full_run: bool = True,
    force: bool = False,
    observer: Observer = _SILENT,
) -> SearchResult:
    """Search for the smallest file within a drop of accuracy, or the best accuracy within a size.

    Parameters
    ----------
    recipe : Recipe
        Everything but the sparsity and the bits, which the search chooses.
    goal : Goal
    directory : Path, optional
        Gets the files of the search, and those of the full run in `run`; named after network, data and goal by default.
    data_dir, checkpoint : Path, optional
    device : str
    trials, trial_epochs : int
        Short compressions, and the epochs of retraining in each.
    finalists : int
        Full compressions to choose from, at most.
    full_run : bool
        Run the chosen recipe.
    force : bool
        Replace the result of an earlier search in the same place; its trials are used again where they are of the same
        recipe.
    observer : Observer

    Raises
    ------
    UsageError, UnsupportedError
        Options that are not allowed; optuna is not installed; the directory holds another or a finished search.
    CompressError
        Bad data, a bad checkpoint, a network that does not fit; nothing that was tried met the goal.
    """
    base = searchable(recipe)
    for name, number, least in (("trials", trials, 1), ("trial-epochs", trial_epochs, 0), ("finalists", finalists, 1)):
        if number < least:
            raise UsageError(f"{name}: found {number}, allowed a whole number from {least} on")
    _check_optuna()
    place = directory or jobs.RUNS / f"{base.place_name()}-search-{goal}"
    _check_place(place, goal, force=force, full_run=full_run)
    prepared = prepare(base, data_dir=data_dir, checkpoint=checkpoint, device=device)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CompressError(f"{place}: cannot be written ({error.strerror})") from error
    journal = Journal(place / "trials.jsonl", _head(prepared, checkpoint, trial_epochs), renew=force)
    prepared, coded, dense = _dense(prepared, place, journal, observer)
    found = _scan(prepared, coded, dense, journal, observer)
    write_scan(found, place)
    present = prepared.network.fixed_masks()
    assert prepared.weights is not None
    space = space_of(prepared.weights, present, found)

    def read(kind: str) -> list[Trial]:
        return [
            Trial(fields=fields_of(space, record[kind]), settings=record[kind], **record["result"])
            for record in journal.records
            if kind in record
        ]

    def keep(kind: str, trial: Trial) -> None:
        result = {"file_bytes": trial.file_bytes, "percent": trial.percent, "error": trial.error}
        journal.add({kind: trial.settings, "result": result})

    try:
        done = run_trials(
            prepared,
            space,
            dense,
            trials=trials,
            trial_epochs=trial_epochs,
            known=read("trial"),
            keep=lambda trial: keep("trial", trial),
            observer=observer,
        )
        chosen, tried = choose(
            prepared,
            space,
            goal,
            dense,
            done,
            finalists=finalists,
            known=read("full"),
            keep=lambda trial: keep("full", trial),
            observer=observer,
        )
    except (KeyboardInterrupt, CompressError):
        _write_best_so_far(place, base, goal, dense, read("trial"), read("full"), observer)
        raise
    if (place / "run").exists():
        shutil.rmtree(place / "run")
    final = Recipe.of({**base.flat(), **chosen.fields})
    write_choice(place, final, goal, dense, done, tried, chosen)
    dense_bytes = 4 * sum(array.size for array in prepared.weights.values())
    summary = summary_of(goal, dense_bytes, dense, done, tried, chosen)
    write_whole(place / "search.json", (json.dumps(summary, indent=1) + "\n").encode())
    report = None
    if full_run:
        report = jobs.run(
            final,
            directory=place / "run",
            data_dir=data_dir,
            checkpoint=place / "dense.safetensors",
            device=device,
            observer=observer,
        ).report
        if report.file_bytes != chosen.file_bytes:
            raise CompressError(
                f"{place / 'run'}: found {report.file_bytes} bytes, and {chosen.file_bytes} in the search; this is "
                "a defect, or a machine that does not compute the same twice"
            )
    return SearchResult(directory=place, summary=summary, recipe=final, run=report)


def _check_optuna() -> None:
    try:
        import optuna  # noqa: F401  # asked for before any training
    except ImportError as error:
        raise UnsupportedError("search: optuna is not installed; pip install 'deep-compress[search]'") from error


def _check_place(place: Path, goal: Goal, *, force: bool, full_run: bool) -> None:
    """Raise unless a search can begin, or go on, in this place."""
    if place.exists() and not place.is_dir():
        raise CompressError(f"{place}: found a file, allowed a directory")
    if not place.exists() or not any(place.iterdir()):
        return
    if not (place / "trials.jsonl").is_file():
        raise CompressError(f"{place}: found a directory without trials.jsonl, allowed to go on with a search only")
    if force or not (place / "search.json").is_file():
        return
    try:
        same = json.loads((place / "search.json").read_text("utf-8"))["goal"] == goal_as_json(goal)
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same or not full_run or (place / "run").exists():
        raise CompressError(f"{place}: found a finished search, allowed a new place; --force replaces its result")


def _head(prepared: Prepared, checkpoint: Path | None, trial_epochs: int) -> dict[str, Any]:
    """Everything that a trial depends on."""
    import torch

    weights = prepared.weights
    return {
        "format": 1,
        "recipe": prepared.recipe.flat(),
        "network": prepared.network.name,
        "checkpoint": None if weights is None else hashlib.sha256(dump_weights(weights)).hexdigest(),
        "trial-epochs": trial_epochs,
        "device": prepared.device.type,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in _VERSIONS}},
    }


def _dense(
    prepared: Prepared, place: Path, journal: Journal, observer: Observer
) -> tuple[Prepared, tuple[str, ...], float]:
    """The dense network: trained, or as an earlier search left it; its coded weights; its accuracy."""
    from compress.training.epochs import evaluate

    path = place / "dense.safetensors"
    kept = next((record for record in journal.records if "dense" in record), None)
    if kept is not None and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == kept["dense"]:
        observer.note("search", f"goes on in {place}, which holds {len(journal.records)} records")
        return replace(prepared, weights=read_weights(path)), tuple(kept["coded"]), float(kept["percent"])
    prepared, coded = train_dense(prepared, observer)
    assert prepared.weights is not None
    content = dump_weights(prepared.weights)
    digest = hashlib.sha256(content).hexdigest()
    if kept is not None and kept["dense"] != digest:
        raise CompressError(f"{path}: found another network than its trials are of, allowed a new place for the search")
    write_whole(path, content)
    start = prepared.start()
    percent = evaluate(start.module, start.held_out)[1]
    if kept is None:
        journal.add({"dense": digest, "coded": coded, "percent": percent})
    return prepared, coded, percent


def _write_best_so_far(
    place: Path,
    base: Recipe,
    goal: Goal,
    dense: float,
    trials: Sequence[Trial],
    finalists: Sequence[Trial],
    observer: Observer,
) -> None:
    best = goal.best(finalists, dense) or provisional(trials, goal, dense)
    if best is None:
        return
    write_choice(place, Recipe.of({**base.flat(), **best.fields}), goal, dense, trials, finalists, best)
    observer.note(
        "search",
        f"the best so far is kept in {place / 'recipe.yaml'}: {best.file_bytes:,} B, {best.percent:.2f} % held-out; "
        "the same command goes on from here",
    )


def _scan(prepared: Prepared, coded: Sequence[str], dense: float, journal: Journal, observer: Observer) -> Scan:
    start = prepared.start()
    known = {record["layer"]: _layer_scan(record) for record in journal.records if "layer" in record}

    def keep(name: str, layer: LayerScan) -> None:
        pruned = {str(value): percent for value, percent in layer.pruned.items()}
        shared = {str(value): percent for value, percent in layer.shared.items()}
        journal.add({"layer": name, "weights": layer.weights, "pruned": pruned, "shared": shared})

    found = scan(
        start.module,
        coded,
        start.held_out,
        initialisation=prepared.recipe.sharing.initialisation,
        present=prepared.network.fixed_masks(),
        known=known,
        keep=keep,
        observer=observer,
    )
    return Scan(dense=dense, layers=found.layers)


def _layer_scan(record: Mapping[str, Any]) -> LayerScan:
    return LayerScan(
        weights=record["weights"],
        pruned={float(value): percent for value, percent in record["pruned"].items()},
        shared={int(value): percent for value, percent in record["shared"].items()},
    )
