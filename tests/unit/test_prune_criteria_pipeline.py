"""What each criterion keeps through the whole pipeline, against the weights and gradients worked out here."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.front_ends.compression import Compression
from compress.front_ends.module import compress_network
from compress.graph import Graph, graph_of_network
from compress.networks import Network
from compress.networks.layers import Activation, Conv2d, Flatten, Linear
from compress.networks.module import build_module
from compress.prune.selection import count_kept
from compress.recipe.recipe import Recipe
from compress.representation import CodedTensor
from compress.training.batches import Batches

NETWORK = Network(
    name="small",
    input_shape=(2, 4, 4),
    layers=(
        Conv2d("conv", 2, 6, 3),
        Activation("relu1"),
        Flatten("flatten"),
        Linear("hidden", 24, 10),
        Activation("relu2"),
        Linear("output", 10, 5),
    ),
)
GRAPH: Graph = graph_of_network(NETWORK)
CODED = ("conv.weight", "hidden.weight", "output.weight")
NO_TRAINING = {"schedule": "one-shot", "retrain_epochs": 0, "tune_epochs": 0}


def module_of(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    module = build_module(NETWORK)
    with torch.no_grad():
        for number, name in enumerate(CODED):
            module.get_parameter(name).mul_(1 + number)
    return module


def examples() -> Batches:
    generator = torch.Generator().manual_seed(1)
    return Batches(torch.randn(24, 2, 4, 4, generator=generator), torch.arange(24) % 5, 8)


def compress(module: nn.Module, **changes: object) -> Compression:
    return compress_network(module, Recipe.of({**NO_TRAINING, **changes}), train=examples(), graph=GRAPH)


def weights_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: module.get_parameter(name).detach().numpy().copy() for name in CODED}


def kept(result: Compression) -> dict[str, np.ndarray]:
    masks = {}
    for tensor in result.model.tensors:
        if isinstance(tensor, CodedTensor):
            masks[tensor.name] = np.zeros(tensor.size, np.bool_)
            masks[tensor.name][tensor.places()] = True
    return masks


def test_taylor_keeps_the_weights_whose_loss_would_change_most() -> None:
    module = module_of()
    inputs, labels = (torch.cat(parts) for parts in zip(*examples(), strict=True))
    functional.cross_entropy(module(inputs), labels).backward()
    change = {name: (module.get_parameter(name) * module.get_parameter(name).grad).abs() for name in CODED}
    ranked = np.sort(np.concatenate([array.detach().numpy().ravel() for array in change.values()]))
    masks = kept(compress(module_of(), criterion="taylor", sparsity=0.7))
    count = count_kept(ranked.size, 0.7)
    assert sum(int(mask.sum()) for mask in masks.values()) == count
    threshold = (ranked[-count - 1] + ranked[-count]) / 2
    for name, array in change.items():
        expected = array.detach().numpy().ravel() > threshold
        assert np.array_equal(masks[name], expected), name
    by_magnitude = kept(compress(module_of(), criterion="l1", sparsity=0.7))
    assert any(not np.array_equal(masks[name], by_magnitude[name]) for name in CODED)


def test_layer_std_ranks_by_the_deviations_of_each_layer() -> None:
    weights = weights_of(module_of())
    scaled = {name: np.abs(weight / weight.std(dtype=np.float64)).ravel() for name, weight in weights.items()}
    ranked = np.sort(np.concatenate(list(scaled.values())))
    threshold = ranked[-count_kept(ranked.size, 0.6) - 1] * (1 + 1e-7)
    masks = kept(compress(module_of(), criterion="layer-std", sparsity=0.6))
    assert all(np.array_equal(masks[name], scaled[name] > threshold) for name in CODED)


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_quality_by_layer_is_a_threshold_in_deviations(rounds: int) -> None:
    weights = weights_of(module_of())
    quality = {"conv": 0.4, "hidden": 1.2, "output": 0.0}
    fields = {"criterion": "layer-std", "quality": "conv=0.4,hidden=1.2", "schedule": "incremental", "round_epochs": 0}
    masks = kept(compress(module_of(), rounds=rounds, **fields))
    first = {name: np.abs(weight).ravel() for name, weight in weights.items()}
    for name, magnitude in first.items():
        mask = np.ones(magnitude.size, np.bool_)
        for number in range(rounds):
            deviation = np.where(mask, weights[name].ravel(), 0).std(dtype=np.float64)
            mask &= magnitude / deviation > (number + 1) / rounds * quality[name.removesuffix(".weight")]
        assert np.array_equal(masks[name], mask), name


def test_of_equal_neurons_one_goes_and_what_reads_them_shrinks() -> None:
    module = module_of()
    with torch.no_grad():
        module.hidden.weight[7] = 0.5 * module.hidden.weight[2]
        module.hidden.weight[4] = 3.0 * module.hidden.weight[9]
        module.conv.weight[5] = 2.0 * module.conv.weight[0]
    before = weights_of(module)
    result = compress(module, criterion="neuron-similarity", sparsity=3 / 16)
    after = result.pruned
    assert np.array_equal(
        after["hidden.weight"], np.delete(np.delete(before["hidden.weight"], [7, 9], 0), [0, 1, 2, 3], 1)
    )
    assert np.array_equal(after["conv.weight"], before["conv.weight"][1:])
    assert np.array_equal(after["output.weight"], np.delete(before["output.weight"], [7, 9], 1))
    assert result.module.hidden.out_features == 8


@pytest.mark.parametrize(("pattern", "sparsity"), [("2:4", 0.5), ("1:4", 0.75), ("3:8", 0.625)])
def test_of_every_group_of_neighbours_the_largest_stay(pattern: str, sparsity: float) -> None:
    stay, group = (int(part) for part in pattern.split(":"))
    weights = weights_of(module_of())
    masks = kept(compress(module_of(), pattern=pattern, sparsity=sparsity))
    for name, weight in weights.items():
        rows, mask = np.abs(weight.reshape(len(weight), -1)), masks[name].reshape(len(weight), -1)
        for row, chosen in zip(rows, mask, strict=True):
            for start in range(0, row.size, group):
                part, marked = row[start : start + group], chosen[start : start + group]
                count = min(stay, part.size)
                best = max(combinations(range(part.size), count), key=lambda places: part[list(places)].sum())
                assert tuple(np.flatnonzero(marked)) == best, (name, start)


def test_a_pattern_holds_after_retraining_in_rounds() -> None:
    fields = {"schedule": "cubic", "rounds": 3, "round_epochs": 1, "retrain_epochs": 2, "tune_epochs": 1}
    result = compress(module_of(), pattern="2:4", sparsity=0.5, retrain_learning_rate=0.01, **fields)
    mask = kept(result)["hidden.weight"].reshape(10, 6, 4)
    assert (mask.sum(axis=2) == 2).all()
    changed = (
        result.pruned["hidden.weight"].ravel()[mask.ravel()]
        != weights_of(module_of())["hidden.weight"].ravel()[mask.ravel()]
    )
    assert changed.all()


def test_sparsities_by_layer_keep_the_largest_of_each() -> None:
    weights = weights_of(module_of())
    fields = {"scope": "per-layer", "layer_sparsity": "conv=0.25,output=0.9", "sparsity": 0.5}
    masks = kept(compress(module_of(), **fields))
    for name, sparsity in {"conv.weight": 0.25, "hidden.weight": 0.5, "output.weight": 0.9}.items():
        magnitude = np.abs(weights[name]).ravel()
        count = count_kept(magnitude.size, sparsity)
        assert set(np.flatnonzero(masks[name])) == set(np.argsort(magnitude)[-count:])


@pytest.mark.parametrize("criterion", ["filter-l1", "filter-l2"])
def test_filters_are_ranked_by_their_mean(criterion: str) -> None:
    weights = weights_of(module_of())
    mean = {
        name: (np.abs(rows).mean(axis=1) if criterion == "filter-l1" else np.sqrt(np.square(rows).mean(axis=1)))
        for name, rows in ((name, weight.reshape(len(weight), -1)) for name, weight in weights.items())
    }
    ranked = sorted(((score, name, row) for name in CODED[:-1] for row, score in enumerate(mean[name])), reverse=True)
    best = {(name, int(np.argmax(mean[name]))) for name in CODED[:-1]}
    rest = [(name, row) for _, name, row in ranked if (name, row) not in best]
    expected = best | set(rest[: 8 - len(best)])
    masks = kept(compress(module_of(), criterion=criterion, sparsity=0.5))
    rows = {name: masks[name].reshape(len(weights[name]), -1) for name in CODED}
    assert {(name, row) for name in CODED[:-1] for row in range(len(rows[name])) if rows[name][row].all()} == expected
    assert sum(int(rows[name].any(axis=1).sum()) for name in CODED[:-1]) == 8
    assert rows["output.weight"].all()
