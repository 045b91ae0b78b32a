"""Every named study on a few hundred images: its points run, its table has a row for each, its plots are drawn."""

from pathlib import Path

import pytest

from compress.errors import UsageError
from deep_compress.studies import STUDIES, run_sweep

SMALL = {"limit": "400", "held_out": "100", "epochs": "1", "tune_epochs": "1"}
FEW = {**SMALL, "retrain_epochs": "1"}

CASES = {
    "study-a": ([("sparsity", "0.9")], FEW, ["| 0.9 |", "| 0.2 | not run |"], ["loss-l1.png", "loss-random.png"]),
    "study-b": (
        [("network", "lenet-5(c3=lecun,pool=average)")],
        {**FEW, "epochs": "5", "retrain_epochs": "5"},
        ["| 0 |", "| 0.9 |"],
        ["loss-2.png"],
    ),
    "study-c": ([("seed", "1")], FEW, ["| 1 |"], []),
    "study-d": ([("data", "mnist")], FEW, ["| mnist | 0 | 84 |", "| mnist | 83 | 1 |"], ["accuracy.png"]),
    "study-e": (
        [("network", "lenet-300-100(batch_norm=true,dropout=0.2)")],
        {**FEW, "round_epochs": "1"},
        ["| incremental |", "| iterative |"],
        ["accuracy.png"],
    ),
    "han": ([("network", "lenet-300-100"), ("seed", "0")], FEW, ["### lenet-300-100", "| ip3 |"], ["error.png"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_study_runs_and_writes_its_table_and_plots(name: str, tmp_path: Path) -> None:
    only, changes, texts, plots = CASES[name]
    directory, outcomes = run_sweep(name, only=only, changes=changes, out=tmp_path / name)
    assert 0 < len(outcomes) < len(STUDIES[name].points())
    table = (directory / "study.md").read_text("utf-8")
    for text in texts:
        assert text in table
    for plot in [*plots, "pareto.png"]:
        assert (directory / plot).read_bytes().startswith(b"\x89PNG")
    for outcome in outcomes:
        assert outcome.report is not None
        assert outcome.report.recipe["limit"] == 400


def test_every_study_is_tested() -> None:
    assert set(CASES) == set(STUDIES)


@pytest.mark.parametrize(
    ("only", "changes", "message"),
    [
        ([("colour", "red")], {}, "only: found axis 'colour', allowed data, merge_neurons"),
        ([("data", "imagenet")], {}, "only, data: found 'imagenet', allowed mnist, fashion-mnist"),
        ([], {"data": "mnist"}, "set: found data, which is an axis, allowed another field"),
        ([], {"limit": "-3"}, "limit: found '-3', allowed"),
    ],
)
def test_what_is_wrong_with_a_choice_is_told_before_anything_runs(
    only: list[tuple[str, str]], changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        run_sweep("study-d", only=only, changes=changes, out=tmp_path / "d")
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "d").exists()
