"""Sweeps: axes checked before anything runs, resumed where they stopped, the same whatever runs their points."""

import csv
from pathlib import Path
from typing import Any

import pytest
from sweep_stand_ins import MARK, execute, execute_killed_once

from compress.errors import UsageError
from compress.recipe.recipe import Recipe
from deep_compress.front import front_of
from deep_compress.studies import STUDIES, Settings, load_axes, points_of
from deep_compress.studies.results import write_results
from deep_compress.studies.sweep import run_point, sweep

AXES: dict[str, Any] = {"sparsity": [0.5, 0.9], "bits": [3, 5], "seed": [0, 1]}
TINY = {
    "limit": 300, "held_out": 100, "epochs": 1, "rounds": 1, "retrain_epochs": 1, "tune_epochs": 1,
    "sparsity": [0.5, 0.9],
}  # fmt: skip


class Told:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, stage: str, done: int, total: int) -> None:
        self.lines.append(f"{done}/{total}")

    def note(self, stage: str, text: str) -> None:
        self.lines.append(text)


def files_of(directory: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.name in names}


def test_points_are_every_combination_the_last_axis_fastest() -> None:
    points = points_of({**AXES, "epochs": 3})
    assert [point.name for point in points[:3]] == [
        "sparsity=0.5,bits=3,seed=0", "sparsity=0.5,bits=3,seed=1", "sparsity=0.5,bits=5,seed=0",
    ]  # fmt: skip
    assert len({point.name for point in points}) == len(points) == 8
    assert all(point.recipe.training.epochs == 3 for point in points)
    assert [point.recipe for point in points_of({})] == [Recipe()]


def test_everything_that_is_wrong_with_the_axes_is_told_a_line_each() -> None:
    with pytest.raises(UsageError) as caught:
        points_of({"sparsity": [0.5, 1.5], "bits": [], "sed": [1], "seed": [1, 1], "criterion": ["l1", "l9"]})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "bits", "seed", "sparsity", "recipe", "criterion",
    ]  # fmt: skip
    assert "sparsity: found 1.5, allowed a number at least 0 and below 1" in str(caught.value).splitlines()
    assert "bits: found no value, allowed at least one on an axis" in str(caught.value).splitlines()
    assert "seed: found a value twice, allowed each once: 1, 1" in str(caught.value).splitlines()
    with pytest.raises(UsageError) as caught:
        points_of({"seed": list(range(200)), "epochs": list(range(200))})
    assert str(caught.value) == "axes: found 40000 points, allowed at most 10000"
    with pytest.raises(UsageError) as caught:
        points_of({"pattern": ["2:4"], "sparsity": [0.5, 0.9]})
    assert str(caught.value) == "pattern: found 2:4 with sparsity 0.9, allowed 0.5"


def test_fields_that_only_go_together_are_checked_together() -> None:
    points = points_of({"scope": "per-layer", "layer_sparsity": [{"conv": 0.5}, {"conv": 0.5, "fc": 0.9}]})
    assert [point.name for point in points] == ["layer_sparsity=conv0.5", "layer_sparsity=conv0.5+fc0.9"]
    with pytest.raises(UsageError) as caught:
        points_of({"scope": ["per-layer", "global"], "layer_sparsity": "conv=0.5"})
    assert str(caught.value) == (
        "scope: found 'global' with layer-sparsity {'conv': 0.5}, allowed per-layer with it and only with it"
    )


def test_axes_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "axes.yaml"
    path.write_text("sparsity: [0.5, 0.9]\nbits: 4\n", "utf-8")
    assert [point.name for point in load_axes(path)] == ["sparsity=0.5", "sparsity=0.9"]
    assert all(point.recipe.sharing.bits == {"default": 4} for point in load_axes(path))


@pytest.mark.parametrize("name", list(STUDIES))
def test_every_named_study_has_points_that_are_all_different(name: str) -> None:
    points = STUDIES[name].points()
    assert STUDIES[name].title
    assert len({point.name for point in points}) == len({str(point.recipe) for point in points}) == len(points) > 1
    assert all("/" not in point.name for point in points)


def test_a_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    ran: list[str] = []

    def interrupted(recipe: Recipe, directory: Path, settings: Settings) -> None:
        if len(ran) == 3:
            raise KeyboardInterrupt
        ran.append(directory.name)
        execute(recipe, directory, settings)

    points = points_of(AXES)
    with pytest.raises(KeyboardInterrupt):
        sweep(points, tmp_path, Settings(), execute=interrupted)
    told = Told()
    outcomes = sweep(points, tmp_path, Settings(), execute=execute, observer=told)
    assert ran == [point.name for point in points[:3]]
    assert told.lines[:2] == ["3 of 8 points are complete already", "3/8"]
    assert told.lines[-1] == "8/8"
    assert [outcome.point for outcome in outcomes] == list(points)


def test_a_directory_of_another_recipe_is_not_touched(tmp_path: Path) -> None:
    sweep(points_of({"sparsity": [0.5]}), tmp_path, Settings(), execute=execute)
    with pytest.raises(UsageError) as caught:
        sweep(points_of({"sparsity": [0.5], "epochs": 3}), tmp_path, Settings(), execute=execute)
    assert str(caught.value) == (
        f"{tmp_path / 'sparsity=0.5'}: found a run of another recipe (epochs), allowed another directory"
    )


def test_a_point_that_fails_stops_no_other(tmp_path: Path) -> None:
    outcomes = sweep(points_of({"sparsity": [0.13, 0.5]}), tmp_path, Settings(), execute=execute)
    assert [outcome.error for outcome in outcomes] == ["train: the loss is no longer finite in epoch 1", None]
    write_results(outcomes, tmp_path)
    with (tmp_path / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["error"] for row in rows] == ["train: the loss is no longer finite in epoch 1", ""]
    assert [row["file_bytes"] for row in rows] == ["", "250"]


@pytest.mark.parametrize("workers", [2, "ray"])
def test_a_killed_worker_changes_no_byte(workers: int | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if workers == "ray":
        pytest.importorskip("ray")
    monkeypatch.setenv(MARK, str(tmp_path / "killed"))
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{Path(__file__).parents[2]}")
    points = points_of(AXES)
    write_results(sweep(points, tmp_path / "here", Settings(), execute=execute), tmp_path / "here")
    place = tmp_path / "there"
    write_results(sweep(points, place, Settings(workers=workers), execute=execute_killed_once), place)
    assert (tmp_path / "killed").exists()
    names = ("model.dcz", "report.json", "results.csv", "results.md")
    assert files_of(place, names) == files_of(tmp_path / "here", names)
    assert sorted(path.name for path in place.iterdir()) == sorted(path.name for path in (tmp_path / "here").iterdir())


def test_full_runs_are_the_same_in_processes(tmp_path: Path) -> None:
    points = points_of(TINY)
    for place, workers in (("here", 1), ("there", 2)):
        outcomes = sweep(points, tmp_path / place, Settings(workers=workers), execute=run_point)
        paths = write_results(outcomes, tmp_path / place)
        assert [path.name for path in paths] == ["results.csv", "seconds.csv", "results.md", "pareto.png"]
    names = ("model.dcz", "model.onnx", "results.csv", "results.md", "pareto.png")
    here = files_of(tmp_path / "here", names)
    assert len(here) == 7
    assert files_of(tmp_path / "there", names) == here


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"workers": 0}, "workers: found 0, allowed a whole number from 1 on, or ray"),
        ({"workers": "rey"}, "workers: found 'rey', allowed a whole number from 1 on, or ray"),
        ({"threads": 0}, "threads: found 0, allowed a whole number from 1 on"),
        ({"ray_address": "auto"}, "ray-address: found with workers 1, allowed with workers ray"),
    ],
)
def test_bad_settings_are_told_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings(**fields)
    assert str(caught.value) == message


def test_a_front_has_no_point_that_another_beats() -> None:
    assert front_of([]) == []
    assert front_of([(1, 1)]) == [0]
    assert front_of([(3, 1), (1, 3), (2, 2), (3, 2), (2, 2)]) == [1, 2, 0]
