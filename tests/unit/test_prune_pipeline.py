"""Every criterion, scope, schedule and pattern through the whole pipeline on a small network."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from observers import Notes

from compress.errors import UsageError
from compress.front_ends.compression import Compression
from compress.front_ends.module import compress_network
from compress.graph import graph_of_zoo
from compress.networks import describe
from compress.networks.module import build_module
from compress.observer import Observer, Silent
from compress.prune import CRITERIA, SCHEDULES
from compress.prune.selection import count_kept
from compress.recipe.recipe import Recipe
from compress.representation import CodedTensor
from compress.sparse import csr_of, matrix_shape
from compress.training.batches import Batches

QUICK = {"rounds": 3, "round_epochs": 1, "retrain_epochs": 1, "tune_epochs": 1, "retrain_learning_rate": 0.01}

_SILENT = Silent()


def compress(network: str = "lenet-5", *, observer: Observer = _SILENT, **changes: object) -> Compression:
    generator = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(64, 1, 32, 32, generator=generator), torch.arange(64) % 10
    torch.manual_seed(0)
    return compress_network(
        build_module(describe(network)),
        Recipe.of({**QUICK, **changes}),
        train=Batches(inputs, labels, 32, torch.Generator().manual_seed(2)),
        graph=graph_of_zoo(network),
        observer=observer,
    )


def coded(result: Compression) -> dict[str, CodedTensor]:
    return {tensor.name: tensor for tensor in result.model.tensors if isinstance(tensor, CodedTensor)}


def rows_left(tensor: CodedTensor) -> int:
    return int(np.count_nonzero(np.diff(csr_of(tensor).indptr)))


@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize("criterion", [name for name, criterion in CRITERIA.items() if criterion.unit == "weight"])
def test_weights_are_pruned_to_the_exact_count(criterion: str, schedule: str) -> None:
    result = compress(criterion=criterion, schedule=schedule, sparsity=0.75)
    assert sum(tensor.nnz for tensor in coded(result).values()) == count_kept(61_470, 0.75)


@pytest.mark.parametrize("criterion", [name for name, criterion in CRITERIA.items() if criterion.unit == "filter"])
def test_filters_are_pruned_to_the_exact_count_and_leave_where_they_should(criterion: str) -> None:
    result = compress(criterion=criterion, sparsity=0.6)
    tensors = coded(result)
    assert sum(rows_left(tensors[f"{layer}.weight"]) for layer in ("c1", "c3", "c5", "f6")) == count_kept(226, 0.6)
    assert rows_left(tensors["output.weight"]) == 10
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if CRITERIA[criterion].removes:
        assert result.model.graph.zoo is None
        assert all(rows_left(tensor) == tensor.shape[0] for tensor in tensors.values())
        assert shapes["c3.weight"][1] == shapes["c1.weight"][0]
    else:
        assert result.model.graph.zoo == "lenet-5"
        assert shapes["f6.weight"] == (84, 120)


@pytest.mark.parametrize(
    ("schedule", "sparsities"),
    [
        ("cubic", [0.5630, 0.7704, 0.8]),
        ("incremental", [0.2667, 0.5333, 0.8]),
        ("iterative", [0.4152, 0.6580, 0.8]),
        ("one-shot", [0.8]),
    ],
)
def test_cuts_are_made_from_begin_to_end_at_their_frequency(schedule: str, sparsities: list[float]) -> None:
    notes = Notes()
    fields = {"schedule": schedule, "sparsity": 0.8, "prune_begin": 1, "prune_end": 5, "prune_frequency": 2}
    result = compress(observer=notes, rounds=4, **fields)
    assert notes.of("prune") == [
        f"round {number}/{len(sparsities)}: sparsity {reached:.4f}" for number, reached in enumerate(sparsities, 1)
    ]
    trained = [("prune 0", 1)] + [(f"prune {n}", e) for n in range(1, len(sparsities)) for e in (1, 2)]
    assert [(record.stage, record.epoch) for record in result.history] == [*trained, ("retrain", 1), ("tune", 1)]
    assert sum(tensor.nnz for tensor in coded(result).values()) == count_kept(61_470, 0.8)


def test_the_same_cuts_told_in_another_way_give_the_same_weights() -> None:
    one = compress(rounds=3, round_epochs=2)
    other = compress(rounds=4, round_epochs=1, prune_end=4, prune_frequency=2)
    assert [record.stage for record in one.history] == [record.stage for record in other.history]
    for left, right in zip(one.model.tensors, other.model.tensors, strict=True):
        assert left.dense().tobytes() == right.dense().tobytes()


@pytest.mark.parametrize("criterion", ["filter-l1", "channel-l1"])
def test_the_best_filter_of_every_layer_stays_at_any_sparsity(criterion: str) -> None:
    tensors = coded(compress(criterion=criterion, sparsity=0.999, rounds=2))
    assert [rows_left(tensors[f"{layer}.weight"]) for layer in ("c1", "c3", "c5", "f6")] == [1, 1, 1, 1]


def test_the_gradient_is_taken_once_a_round_for_all_layers() -> None:
    passes = []

    class Counted(Batches):
        def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            passes.append(1)
            return super().__iter__()

    counted = Counted(torch.randn(8, 1, 32, 32), torch.arange(8), 4)
    no_training = {"round_epochs": 0, "retrain_epochs": 0, "tune_epochs": 0}
    recipe = Recipe.of({"criterion": "taylor", "rounds": 3, **no_training})
    compress_network(build_module(describe("lenet-5")), recipe, train=counted, graph=graph_of_zoo("lenet-5"))
    assert len(passes) == 3


def test_every_layer_to_one_sparsity_or_to_its_own() -> None:
    uniform = coded(compress(scope="uniform", sparsity=0.8))
    assert all(tensor.nnz == count_kept(tensor.size, 0.8) for tensor in uniform.values())
    own = coded(compress(scope="per-layer", sparsity=0.5, layer_sparsity="conv=0.2,f6=0.9"))
    expected = {"c1": 0.2, "c3": 0.2, "c5": 0.2, "f6": 0.9, "output": 0.5}
    assert all(
        own[f"{layer}.weight"].nnz == count_kept(own[f"{layer}.weight"].size, s) for layer, s in expected.items()
    )


def test_two_of_four_neighbours_stay() -> None:
    for tensor in coded(compress(pattern="2:4", sparsity=0.5)).values():
        kept = np.zeros(matrix_shape(tensor.shape), np.bool_)
        kept.reshape(-1)[tensor.places()] = True
        padded = np.pad(kept, ((0, 0), (0, -kept.shape[1] % 4))).reshape(-1, 4)
        assert padded.sum(axis=1).max() == 2


def test_a_quality_gives_the_sparsity_that_results() -> None:
    low, high = (compress(criterion="layer-std", quality=quality) for quality in (0.3, "conv=0.3,fc=1.5"))
    assert coded(low)["f6.weight"].nnz > coded(high)["f6.weight"].nnz
    one_round = compress(criterion="layer-std", quality=1.0, schedule="one-shot", retrain_epochs=0)
    weight = one_round.dense["f6.weight"]
    assert coded(one_round)["f6.weight"].nnz == np.count_nonzero(np.abs(weight) > weight.std(dtype=np.float64))


def test_connections_that_are_no_part_of_the_network_are_not_counted() -> None:
    result = compress("lenet-5(c3=lecun)", sparsity=0.5)
    assert sum(tensor.nnz for tensor in coded(result).values()) == count_kept(61_470 - 36 * 25, 0.5)
    assert not coded(result)["c3.weight"].dense()[0, 3:].any()


def test_merged_neurons_leave_the_network() -> None:
    result = compress("lenet-5(activation=tanh)", merge_layer="f6", merge_neurons=2, sparsity=0)
    assert coded(result)["f6.weight"].shape == (82, 120)
    assert coded(result)["output.weight"].shape == (10, 82)
    assert [record.stage for record in result.history] == ["merge 1", "merge 2", "tune"]
    assert result.dense["f6.weight"].shape == (84, 120)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"criterion": "l3"}, f"criterion: found 'l3', allowed {', '.join(CRITERIA)}"),
        (
            {"scope": "per-layer"},
            "scope: found 'per-layer' with layer-sparsity not given, allowed per-layer with it and only with it",
        ),
        (
            {"layer_sparsity": "f6=1.5", "scope": "per-layer"},
            "layer-sparsity: found 1.5 for f6, allowed at least 0 and below 1",
        ),
        (
            {"layer_sparsity": "f6=x"},
            "layer-sparsity: found 'f6=x', allowed a number, or layer=number pairs such as conv=0.5,f6=0.95",
        ),
        ({"pattern": "4:2"}, "pattern: found '4:2', allowed N:M with 0 < N < M, M at most 64, such as 2:4"),
        ({"pattern": "2:4"}, "pattern: found 2:4 with sparsity 0.9, allowed 0.5"),
        ({"quality": 1}, "quality: found with criterion 'l1', allowed with layer-std"),
        ({"merge_neurons": 3}, "merge-neurons: found 3 with merge-layer not given, allowed both or neither"),
        ({"optimiser": "adm"}, "optimiser: found 'adm', allowed nesterov, sgd, adam, nearest: adam"),
    ],
)
def test_fields_that_do_not_go_are_told_in_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.of(changes)
    assert str(caught.value) == message


def test_a_layer_that_the_network_has_not_is_told() -> None:
    with pytest.raises(UsageError) as caught:
        compress(bits="5,c9=3")
    assert str(caught.value) == "bits, layer: found 'c9', allowed c1, c3, c5, f6, output, conv, fc, default"


def test_a_sparsity_for_the_filters_of_the_outputs_is_told() -> None:
    with pytest.raises(UsageError) as caught:
        compress(criterion="filter-l1", scope="per-layer", layer_sparsity="output=0.5")
    assert str(caught.value) == "layer-sparsity, layer: found 'output', allowed c1, c3, c5, f6, conv, fc, default"
