"""A whole search in small: what it keeps, that it goes on where it was stopped, and what it refuses to begin."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small_data

from compress.errors import CompressError, UnsupportedError, UsageError
from compress.recipe.recipe import Recipe
from compress.training.checkpoint import read_weights
from deep_compress.jobs.prepare import prepare, train_dense
from deep_compress.search.goal import Goal
from deep_compress.search.run import SearchResult, run_search

RECIPE = Recipe.of({**small_data.FIELDS, "epochs": 12})
NAMES = [
    "dense.safetensors", "front.png", "recipe.yaml", "search.json", "sensitivity.csv", "sensitivity.json",
    "sensitivity.png", "trials.csv", "trials.jsonl",
]  # fmt: skip
WRITTEN = [name for name in NAMES if name != "trials.jsonl"]


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    pytest.importorskip("optuna")
    with small_data.used():
        yield


class Interrupts:
    """An observer that presses Ctrl-C at a line that begins so."""

    def __init__(self, at: str) -> None:
        self.at, self.lines = at, list[str]()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say nothing."""

    def note(self, stage: str, text: str) -> None:
        self.lines.append(f"{stage}: {text}")
        if self.lines[-1].startswith(self.at):
            raise KeyboardInterrupt


def search(place: Path, **options: Any) -> SearchResult:
    goal = options.pop("goal", Goal(max_drop=40))
    return run_search(RECIPE, goal, directory=place, **{"trials": 14, "finalists": 3, "full_run": False, **options})


@pytest.fixture(scope="module")
def found(_small: None, tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return search(tmp_path_factory.mktemp("search") / "found")


def test_a_search_keeps_what_it_found(found: SearchResult) -> None:
    place = found.directory
    assert sorted(path.name for path in place.iterdir()) == NAMES
    assert json.loads((place / "search.json").read_text("utf-8")) == found.summary
    assert (place / "recipe.yaml").read_text("utf-8") == found.recipe.to_yaml()
    assert found.run is None
    dense, chosen = found.summary["dense"]["held_out_percent"], found.summary["chosen"]
    assert dense > 80
    assert chosen["held_out_percent"] >= dense - 40
    met = [e["file_bytes"] for e in found.summary["finalists"] if e["held_out_percent"] >= dense - 40]
    assert chosen["file_bytes"] == min(met)
    sizes = [entry["file_bytes"] for entry in found.summary["front"]]
    percents = [entry["held_out_percent"] for entry in found.summary["front"]]
    assert sizes == sorted(sizes)
    assert percents == sorted(percents)
    assert found.recipe.pruning.layer_sparsity == {name: v["sparsity"] for name, v in chosen["layers"].items()}
    assert found.recipe.sharing.bits == {name: v["bits"] for name, v in chosen["layers"].items()}
    with (place / "trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["compression"] for row in rows] == ["short"] * 14 + ["full"] * len(found.summary["finalists"])
    assert [int(row["file_bytes"]) for row in rows if row["chosen"] == "1"] == [chosen["file_bytes"]]


def test_the_dense_network_is_the_one_that_a_run_trains(found: SearchResult) -> None:
    kept = read_weights(found.directory / "dense.safetensors")
    weights = train_dense(prepare(RECIPE))[0].weights
    assert weights is not None
    assert {name: array.tobytes() for name, array in kept.items()} == {n: a.tobytes() for n, a in weights.items()}


@pytest.mark.parametrize("at", ["train: epoch 5", "search: trial 3/14", "search: trial 13/14", "finalists: 1"])
def test_an_interrupted_search_comes_to_the_same_end(at: str, found: SearchResult, tmp_path: Path) -> None:
    place = tmp_path / "again"
    observer = Interrupts(at)
    with pytest.raises(KeyboardInterrupt):
        search(place, observer=observer)
    assert not (place / "search.json").exists()
    if "trial" in at:
        assert (place / "recipe.yaml").is_file()
        assert observer.lines[-1].endswith("held-out; the same command goes on from here")
    lines = len((place / "trials.jsonl").read_bytes().splitlines())
    search(place)
    for name in WRITTEN:
        assert (place / name).read_bytes() == (found.directory / name).read_bytes(), name
    records = (place / "trials.jsonl").read_bytes().splitlines()
    assert records == (found.directory / "trials.jsonl").read_bytes().splitlines()
    assert len(records) > lines


def test_another_goal_uses_the_trials_again(found: SearchResult, tmp_path: Path) -> None:
    place = tmp_path / "again"
    place.mkdir()
    for path in found.directory.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    sizes = [entry["file_bytes"] for entry in found.summary["front"]]
    goal = Goal(target_bytes=sizes[len(sizes) // 2])
    with pytest.raises(CompressError) as caught:
        search(place, goal=goal)
    assert str(caught.value) == f"{place}: found a finished search, allowed a new place; --force replaces its result"
    observer = Interrupts("never")
    other = search(place, goal=goal, force=True, observer=observer)
    assert not [line for line in observer.lines if line.startswith(("train", "search: trial"))]
    assert other.summary["front"] == found.summary["front"]
    assert goal.target_bytes is not None
    assert other.summary["chosen"]["file_bytes"] <= goal.target_bytes
    assert other.summary["chosen"]["held_out_percent"] == max(
        e["held_out_percent"] for e in other.summary["finalists"] if e["file_bytes"] <= goal.target_bytes
    )


def test_a_place_that_is_taken_is_told_before_any_training(found: SearchResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("")
    for name, what in {
        "file": "found a file, allowed a directory",
        "other": "found a directory without trials.jsonl, allowed to go on with a search only",
        "file/below": "cannot be written (Not a directory)",
    }.items():
        with pytest.raises(CompressError) as caught:
            search(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {what}"
    with pytest.raises(CompressError, match=r": found a finished search, allowed a new place; --force replaces"):
        search(found.directory)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "trials.jsonl").write_bytes((found.directory / "trials.jsonl").read_bytes())
    with pytest.raises(UsageError) as usage:
        search(tmp_path / "begun", trial_epochs=3)
    assert str(usage.value) == (
        f"{tmp_path / 'begun'}: found a search with other settings (trial-epochs), allowed another directory; --force "
        "starts it anew"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials: found 0, allowed a whole number from 1 on"),
        ({"finalists": 0}, "finalists: found 0, allowed a whole number from 1 on"),
        ({"trial_epochs": -1}, "trial-epochs: found -1, allowed a whole number from 0 on"),
        ({"device": "tpu"}, "device: found 'tpu', allowed auto, cpu, cuda"),
    ],
)
def test_bad_options_leave_nothing_behind(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        search(tmp_path / "out", **options)
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_goal_out_of_reach_is_told_and_the_trials_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with pytest.raises(CompressError, match=r"^target-size: nothing came under 9 B; the smallest had [0-9,]+ B$"):
        search(place, goal=Goal(target_bytes=9), trials=2, finalists=2)
    assert len((place / "trials.jsonl").read_bytes().splitlines()) == 1 + 1 + 3 + 2 + 2
    assert not (place / "search.json").exists()


def test_optuna_is_asked_for_before_any_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UnsupportedError) as caught:
        search(tmp_path / "out")
    assert str(caught.value) == "search: optuna is not installed; pip install 'deep-compress[search]'"
    assert list(tmp_path.iterdir()) == []
