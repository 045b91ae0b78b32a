"""A sensitivity scan: each layer alone, nothing left changed, fixed zeros left alone, files that say what was found."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import small_data
import torch

from compress.errors import CompressError, UsageError
from compress.recipe.recipe import Recipe
from compress.training.epochs import evaluate
from deep_compress.jobs.prepare import Prepared, prepare, train_dense
from deep_compress.search.scan import LayerScan, scan
from deep_compress.search.sensitivity import run_sensitivity

RECIPE = Recipe.of(small_data.FIELDS)


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    with small_data.used():
        yield


@pytest.fixture(scope="module")
def prepared(_small: None) -> Prepared:
    return train_dense(prepare(RECIPE))[0]


def test_a_scan_measures_each_layer_alone_and_changes_nothing(prepared: Prepared) -> None:
    start = prepared.start()
    before = {name: value.clone() for name, value in start.module.state_dict().items()}
    names = ["ip1.weight", "ip3.weight"]
    found = scan(start.module, names, start.held_out, sparsities=(0.0, 0.5, 0.99), bits=(1, 8))
    assert all(torch.equal(value, before[name]) for name, value in start.module.state_dict().items())
    assert found.dense == evaluate(start.module, start.held_out)[1]
    assert list(found.layers) == names
    assert [layer.weights for layer in found.layers.values()] == [300 * 64, 1000]
    assert all(layer.pruned[0.0] == found.dense for layer in found.layers.values())
    with torch.no_grad():
        weight = start.module.get_parameter("ip3.weight")
        threshold = weight.abs().flatten().sort().values[500]
        weight.mul_(weight.abs() >= threshold)
    assert evaluate(start.module, start.held_out)[1] == found.layers["ip3.weight"].pruned[0.5]


def test_layers_that_are_known_are_not_scanned_again(prepared: Prepared) -> None:
    start = prepared.start()
    known = {"ip1.weight": LayerScan(weights=1, pruned={0.5: 12.0}, shared={2: 13.0})}
    kept: list[str] = []
    found = scan(
        start.module,
        ["ip1.weight", "ip2.weight"],
        start.held_out,
        sparsities=(0.5,),
        bits=(2,),
        known=known,
        keep=lambda name, layer: kept.append(name),
    )
    assert found.layers["ip1.weight"] is known["ip1.weight"]
    assert kept == ["ip2.weight"]


def test_weights_that_are_fixed_at_zero_are_left_alone() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 2, bias=False))
    weight = torch.tensor([[4.0, 3.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]])
    with torch.no_grad():
        module.get_parameter("0.weight").copy_(weight)
    held_out = [(torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), torch.tensor([0, 0, 1, 1]))]
    present = {"0.weight": weight.numpy() != 0}
    found = scan(module, ["0.weight"], held_out, sparsities=(0.5,), bits=(1,), present=present)
    layer = found.layers["0.weight"]
    # Half of the four present ones goes, the third and the fourth: input 2 and 3 then give a tie, which class 0 wins.
    assert (layer.weights, layer.pruned[0.5]) == (4, 50.0)
    # Shared by two centroids the four give 3.5 and 1.5; a zero that was shared too would lie at 1 or so.
    assert layer.shared[1] == 100.0
    assert np.array_equal(module.get_parameter("0.weight").detach().numpy(), weight.numpy())


def test_the_files_say_what_was_found(tmp_path: Path) -> None:
    place = tmp_path / "scan"
    directory, found = run_sensitivity(RECIPE, directory=place, sparsities=(0.9, 0.5), bits=(3,))
    assert directory == place
    assert sorted(path.name for path in place.iterdir()) == [
        "dense.safetensors", "sensitivity.csv", "sensitivity.json", "sensitivity.png",
    ]  # fmt: skip
    assert (place / "sensitivity.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    plain = json.loads((place / "sensitivity.json").read_text("utf-8"))
    assert plain["dense_percent"] == found.dense > 80
    assert list(plain["layers"]) == ["ip1", "ip2", "ip3"]
    assert list(plain["layers"]["ip2"]["percent_at_sparsity"]) == ["0.5", "0.9"]
    with (place / "sensitivity.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert rows[2] == {
        "layer": "ip1", "weights": "19200", "changed": "bits", "value": "3",
        "held-out percent": str(found.layers["ip1.weight"].shared[3]),
    }  # fmt: skip
    again = run_sensitivity(
        RECIPE, directory=tmp_path / "again", checkpoint=place / "dense.safetensors", sparsities=(0.9, 0.5), bits=(3,)
    )[1]
    assert again == found
    with pytest.raises(CompressError) as caught:
        run_sensitivity(RECIPE, directory=place)
    assert str(caught.value) == f"{place}: found an existing run, allowed a new place; --force replaces it"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsities": [0.5, 1.0]}, "sparsities: found 1, allowed at least 0 and below 1"),
        ({"bits": [9]}, "bits: found 9, allowed 1 to 8"),
        ({"sparsities": [], "bits": []}, "sparsities, bits: found neither, allowed at least one value"),
    ],
)
def test_what_cannot_be_scanned_is_told_in_one_line(
    options: dict[str, list[float]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        run_sensitivity(RECIPE, directory=tmp_path / "scan", **options)  # type: ignore[arg-type]  # wrong on purpose
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []
