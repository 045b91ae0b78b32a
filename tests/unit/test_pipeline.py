"""The pipeline on a small network and made-up data: exact counts, equal bytes, bad weights, the module untouched."""

import numpy as np
import pytest
import torch
from torch import nn

from compress.errors import UnsupportedError, WeightsError
from compress.front_ends.compression import Compression
from compress.front_ends.module import compress_network, train_
from compress.graph import graph_of_zoo
from compress.networks import NETWORKS
from compress.networks.module import build_module
from compress.networks.traced import trace
from compress.networks.weights import check_weights, load_weights_, weights_of
from compress.observer import Silent
from compress.prune.selection import count_kept
from compress.recipe.recipe import Recipe
from compress.representation import CodedTensor, DenseTensor
from compress.training.batches import Batches
from compress.training.trainer import Trainer

QUICK = {
    "epochs": 1,
    "rounds": 2,
    "round_epochs": 1,
    "retrain_epochs": 1,
    "tune_epochs": 1,
    "learning_rate": 0.01,
    "retrain_learning_rate": 0.01,
}
CODED = ("c1.weight", "c3.weight", "c5.weight", "f6.weight", "output.weight")


def batches(count: int = 96) -> Batches:
    generator = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(count, 1, 32, 32, generator=generator), torch.arange(count) % 10
    return Batches(inputs, labels, 32, torch.Generator().manual_seed(2))


def lenet() -> nn.Sequential:
    torch.manual_seed(0)
    return build_module(NETWORKS["lenet-5"]())


def compress(**changes: object) -> Compression:
    recipe = Recipe.of({**QUICK, **changes})
    return compress_network(
        lenet(), recipe, train=batches(), held_out=batches(), graph=graph_of_zoo("lenet-5"), pretrained=False
    )


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.999])
def test_the_sparsity_is_exact_and_the_codebooks_fit_their_bits(sparsity: float) -> None:
    result = compress(sparsity=sparsity, bits="conv=3,fc=2,output=4")
    coded = [tensor for tensor in result.model.tensors if isinstance(tensor, CodedTensor)]
    assert tuple(tensor.name for tensor in coded) == CODED
    assert sum(tensor.nnz for tensor in coded) == count_kept(61_470, sparsity)
    assert [tensor.bits for tensor in coded] == [3, 3, 3, 2, 4]
    assert all(tensor.codebook.size <= 2**tensor.bits for tensor in coded)
    assert all((result.pruned[tensor.name][tensor.dense() != 0] != 0).all() for tensor in coded)


def test_the_module_that_comes_back_holds_the_models_weights() -> None:
    result = compress()
    weights = result.model.weights()
    state = result.module.state_dict()
    assert all(np.array_equal(state[name].numpy(), array) for name, array in weights.items())
    biases = [tensor for tensor in result.model.tensors if isinstance(tensor, DenseTensor)]
    assert [tensor.name for tensor in biases] == [name.replace("weight", "bias") for name in CODED]
    assert all(np.array_equal(tensor.array, tensor.array.astype(np.float16)) for tensor in biases)


def test_the_module_that_is_given_stays_as_it_is() -> None:
    module = lenet()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    compress_network(module, Recipe.of(QUICK), train=batches(), graph=graph_of_zoo("lenet-5"))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_the_same_seed_gives_the_same_model_twice_and_another_seed_another() -> None:
    one, same, other = compress(), compress(), compress(seed=1, initialisation="random")
    assert one.model.provenance == same.model.provenance
    for left, right in zip(one.model.tensors, same.model.tensors, strict=True):
        assert left.dense().tobytes() == right.dense().tobytes()
    assert any(
        not np.array_equal(left.dense(), right.dense())
        for left, right in zip(one.model.tensors, other.model.tensors, strict=True)
    )


def test_the_stages_and_their_epochs_are_recorded() -> None:
    result = compress()
    assert [stage.stage for stage in result.stages] == ["train", "prune", "share", "tune"]
    assert all(stage.held_out_accuracy is not None and stage.seconds >= 0 for stage in result.stages)
    assert [record.stage for record in result.history] == ["train", "prune 1", "retrain", "tune"]


def test_dense_training_alone_is_the_first_stage() -> None:
    recipe = Recipe.of(QUICK)
    trainer = Trainer(recipe, batches(), batches(), Silent())
    traced = train_(trace(lenet(), graph_of_zoo("lenet-5")), trainer)
    whole = compress()
    assert trainer.history == [record for record in whole.history if record.stage == "train"]
    assert traced.weights().keys() == whole.dense.keys()
    assert all(array.tobytes() == whole.dense[name].tobytes() for name, array in traced.weights().items())


def test_without_rounds_the_dense_weights_are_the_ones_given() -> None:
    module = lenet()
    given = weights_of(module, graph_of_zoo("lenet-5"))
    recipe = Recipe.of({**QUICK, "sparsity": 0.5, "schedule": "one-shot", "retrain_epochs": 0, "tune_epochs": 0})
    result = compress_network(module, recipe, train=batches(), graph=graph_of_zoo("lenet-5"))
    assert all(np.array_equal(result.dense[name], array) for name, array in given.items())
    kept = np.concatenate([np.abs(given[name][result.pruned[name] != 0]) for name in CODED])
    gone = np.concatenate([np.abs(given[name][result.pruned[name] == 0]) for name in CODED])
    assert kept.min() >= gone.max()
    assert kept.size == 61_470 // 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_named_by_layer_and_index(value: float) -> None:
    module = lenet()
    with torch.no_grad():
        module.c3.weight[2, 1, 0, 3] = value
    with pytest.raises(WeightsError) as caught:
        compress_network(module, Recipe.of(QUICK), train=batches(), graph=graph_of_zoo("lenet-5"))
    assert str(caught.value) == f"c3.weight: found {value} at index [2, 1, 0, 3], allowed finite weights"


def test_a_users_own_module_is_traced_and_compressed() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))
    generator = torch.Generator().manual_seed(0)
    data = Batches(torch.randn(30, 6, generator=generator), torch.arange(30) % 3, 10)
    result = compress_network(module, Recipe.of({**QUICK, "sparsity": 0.5}), train=data)
    assert list(result.model.graph.parameters) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert sum(t.nnz for t in result.model.tensors if isinstance(t, CodedTensor)) == (6 * 12 + 12 * 3) // 2


def test_a_module_without_a_layer_to_code_is_refused() -> None:
    module = nn.Sequential(nn.Flatten(), nn.LayerNorm(4))
    with pytest.raises(UnsupportedError) as caught:
        compress_network(module, Recipe.of(QUICK), train=[(torch.zeros(4, 4), torch.zeros(4).long())])
    assert str(caught.value) == "Sequential: found no linear or convolution layer, allowed at least one"


def test_a_checkpoint_of_another_network_is_refused() -> None:
    parameters = {"f.weight": (2, 3), "f.bias": (2,)}
    right = {"f.weight": np.ones((2, 3), np.float32), "f.bias": np.zeros(2, np.float32)}
    check_weights(right, parameters, "net")
    known = "f.weight, f.bias"
    for wrong, message in (
        ({"f.weight": right["f.weight"]}, f"net: found no f.bias, allowed a checkpoint of this network: {known}"),
        ({**right, "f.bias": np.zeros(3, np.float32)}, "net: found f.bias of shape (3,), allowed (2,)"),
        ({**right, "g": right["f.bias"]}, f"net: found g, allowed only what this network has: {known}"),
    ):
        with pytest.raises(WeightsError) as caught:
            check_weights(wrong, parameters, "net")
        assert str(caught.value) == message


def test_weights_that_are_loaded_are_the_modules() -> None:
    module = lenet()
    weights = {name: array + 1 for name, array in weights_of(module, graph_of_zoo("lenet-5")).items()}
    load_weights_(module, weights, graph_of_zoo("lenet-5").parameters)
    assert all(
        np.array_equal(array, weights[name]) for name, array in weights_of(module, graph_of_zoo("lenet-5")).items()
    )


def test_weights_that_are_not_the_modules_are_refused_and_what_it_only_counts_stays() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    weights = {name: value.numpy() + 1 for name, value in module.state_dict().items() if value.is_floating_point()}
    shapes = {name: array.shape for name, array in weights.items()}
    module[1].num_batches_tracked += 7
    load_weights_(module, weights, shapes)
    assert all(np.array_equal(module.state_dict()[name].numpy(), array) for name, array in weights.items())
    assert module[1].num_batches_tracked == 7
    less = {name: array for name, array in weights.items() if name != "1.weight"}
    more, more_shapes = weights | {"2.bias": weights["0.bias"]}, shapes | {"2.bias": (2,)}
    known, held = ", ".join(shapes), ", ".join(module.state_dict())
    for wrong, allowed, message in (
        (less, shapes, f"weights: found no 1.weight, allowed a checkpoint of this network: {known}"),
        (more, more_shapes, f"weights: found 2.bias, allowed only what the module has: {held}"),
    ):
        with pytest.raises(WeightsError) as caught:
            load_weights_(module, wrong, allowed)
        assert str(caught.value) == message
