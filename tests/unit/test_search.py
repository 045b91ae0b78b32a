"""Sensitivity and search on a small network: nothing is changed, choices keep to held-out data, goals are met."""

from pathlib import Path

import pytest
import torch

from compress.errors import CompressError, UsageError
from compress.networks import describe
from compress.networks.module import build_module
from compress.recipe import Recipe
from compress.training import Batches, evaluate, fit
from studies.search import Search, parse_size, search
from studies.sensitivity import plot_scan, scan

RECIPE = Recipe.of({"network": "lenet-300-100(size=8)"})


def data() -> tuple[torch.nn.Module, Batches, Batches]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(240, 1, 8, 8, generator=generator)
    labels = inputs.reshape(240, -1)[:, :10].argmax(1)
    torch.manual_seed(0)
    module = build_module(describe(RECIPE.network))
    train = Batches(inputs[:200], labels[:200], 40, torch.Generator().manual_seed(1))
    fit(module, train, stage="train", epochs=20, optimiser=lambda p: torch.optim.Adam(p, lr=3e-3))
    return module, train, Batches(inputs[200:], labels[200:], 40)


def test_a_scan_measures_each_layer_alone_and_changes_nothing(tmp_path: Path) -> None:
    module, _, held_out = data()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    names = ["ip1.weight", "ip3.weight"]
    found = scan(module, names, list(held_out), sparsities=(0.0, 0.5, 0.99), bits=(1, 8))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert found.dense == evaluate(module, held_out)[1]
    assert list(found.pruned) == list(found.shared) == names
    assert all(values[0.0] == found.dense for values in found.pruned.values())
    with torch.no_grad():
        weight = module.get_parameter("ip3.weight")
        threshold = weight.abs().flatten().sort().values[500]
        weight.mul_(weight.abs() >= threshold)
    assert evaluate(module, held_out)[1] == found.pruned["ip3.weight"][0.5]
    plot_scan(found, tmp_path / "scan.png")
    assert (tmp_path / "scan.png").read_bytes()[:4] == b"\x89PNG"


def test_sizes_are_read_with_their_units() -> None:
    assert [parse_size(text) for text in ("900", "7.5 kB", "8KB", "4KiB", "1MB")] == [900, 7500, 8000, 4096, 10**6]
    for text in ("", "8 bananas", "-3", "0", "0.2"):
        with pytest.raises(UsageError) as caught:
            parse_size(text)
        assert str(caught.value) == f"target-size: found {text!r}, allowed a size such as 8kB, 4KiB or 900"


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ({}, "search: found neither or both of max-drop and target-size, allowed one of them"),
        (
            {"max_drop": 1.0, "target_bytes": 3},
            "search: found neither or both of max-drop and target-size, allowed one of them",
        ),
        ({"max_drop": -1.0}, "max-drop: found -1, allowed 0 to 100 points"),
        ({"max_drop": 1.0, "trials": 0}, "trials: found 0, allowed a whole number from 1 on"),
    ],
)
def test_bad_goals_are_told_in_one_line(goal: dict[str, float], message: str) -> None:
    module, train, held_out = data()
    with pytest.raises(UsageError) as caught:
        search(RECIPE, module, train, held_out, **goal)  # type: ignore[arg-type]  # wrong on purpose
    assert str(caught.value) == message


def run(goal: dict[str, float], out: Path | None = None) -> Search:
    module, train, held_out = data()
    return search(RECIPE, module, train, held_out, trials=6, out=out, **goal)  # type: ignore[arg-type]  # by goal


def test_a_search_meets_its_goal_and_keeps_the_recipe(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    found = run({"max_drop": 60.0}, tmp_path)
    assert found.chosen.percent >= found.dense_percent - 60
    assert found.chosen is min(
        (trial for trial in found.trials if trial.percent >= found.dense_percent - 60), key=lambda t: t.file_bytes
    )
    assert found.recipe.layer_sparsity == found.chosen.fields["layer_sparsity"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front.png", "recipe.yaml", "sensitivity.png"]
    sizes = [trial.file_bytes for trial in found.front]
    assert sizes == sorted(sizes)
    target = sizes[len(sizes) // 2]
    again = run({"target_bytes": target})
    assert again.chosen.file_bytes <= target
    assert again.chosen.percent == max(trial.percent for trial in again.trials if trial.file_bytes <= target)


def test_a_goal_out_of_reach_is_told() -> None:
    pytest.importorskip("optuna")
    with pytest.raises(CompressError, match=r"^target-size: no trial came under 10 B; the smallest had [0-9,]+ B$"):
        run({"target_bytes": 10})
