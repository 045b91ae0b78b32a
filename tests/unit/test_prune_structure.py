"""Removing filters and merging neurons: the smaller network computes what the larger one did."""

import numpy as np
import pytest
import torch

from compress.errors import UsageError
from compress.networks import Network, describe
from compress.networks.layers import Linear
from compress.networks.module import build_module
from compress.prune.merge import merge_neurons, merge_point, most_similar
from compress.prune.structure import filter_masks, remove_filters

SPELLINGS = ("lenet-5", "lenet-5(batch_norm=true,c3=lecun)", "lenet-5-caffe", "lenet-300-100", "vgg-lite(width=4)")


def weights_of(module: torch.nn.Module, network: Network) -> dict[str, np.ndarray]:
    state = module.state_dict()
    return {name: state[name].numpy().copy() for name in network.parameters()}


def outputs(network: Network, weights: dict[str, np.ndarray], inputs: torch.Tensor) -> np.ndarray:
    module = build_module(network)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=False)
    with torch.no_grad():
        return np.asarray(module.eval()(inputs).numpy())


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_filters_that_give_zero_can_leave(spelling: str) -> None:
    torch.manual_seed(0)
    network = describe(spelling)
    generator = np.random.default_rng(0)
    weights = weights_of(build_module(network), network)
    weights |= {
        name: np.abs(generator.normal(size=array.shape).astype(np.float32)) + 0.1
        for name, array in weights.items()
        if name.endswith(("running_mean", "running_var"))
    }
    layers = [name.removesuffix(".weight") for name, shape in network.parameters().items() if len(shape) > 1][:-1]
    kept = {}
    for layer in layers:
        kept[layer] = generator.random(len(weights[f"{layer}.weight"])) < 0.6
        kept[layer][0] = True
    masks = filter_masks(network, kept)
    masked = {name: array * masks.get(name, True) for name, array in weights.items()}
    smaller, fewer = remove_filters(network, masked, kept)
    assert {name: array.shape for name, array in fewer.items()} == smaller.parameters()
    assert sum(array.size for array in fewer.values()) < sum(array.size for array in weights.values()) * 0.8
    inputs = torch.randn(3, *network.input_shape)
    assert outputs(smaller, fewer, inputs) == pytest.approx(outputs(network, masked, inputs), abs=1e-4)


def test_merging_two_equal_neurons_by_hand() -> None:
    network = Network(name="two", input_shape=(2,), layers=(Linear("a", 2, 3), Linear("b", 3, 2)))
    weights = {
        "a.weight": np.float32([[1, 2], [5, 6], [3, 4]]),
        "a.bias": np.float32([1, 2, 3]),
        "b.weight": np.float32([[1, 10, 100], [2, 20, 200]]),
        "b.bias": np.float32([7, 8]),
    }
    smaller, merged = merge_neurons(network, weights, "a", 0, 2)
    assert smaller.parameters() == {"a.weight": (2, 2), "a.bias": (2,), "b.weight": (2, 2), "b.bias": (2,)}
    assert merged["a.weight"].tolist() == [[4, 6], [5, 6]]
    assert merged["a.bias"].tolist() == [4, 2]
    assert merged["b.weight"].tolist() == [[101, 10], [202, 20]]
    assert weights["a.weight"].tolist() == [[1, 2], [5, 6], [3, 4]]


def test_the_most_similar_pair_has_the_largest_cosine() -> None:
    activations = np.array([[1.0, 5.0, -1.0, 2.0], [0.0, 5.0, 0.1, 2.1]])
    assert most_similar(activations.T @ activations)[:2] == (1, 3)
    with_a_dead_one = np.array([[1.0, 5.0, 0.0], [0.0, 5.0, 0.0]])
    assert most_similar(with_a_dead_one.T @ with_a_dead_one) == (0, 2, 1.0)


def test_where_neurons_can_be_merged() -> None:
    assert merge_point(describe("lenet-5(activation=tanh)"), "f6", 83) == "tanh6"
    with pytest.raises(UsageError) as caught:
        merge_point(describe("lenet-5"), "f6", 84)
    assert str(caught.value) == "merge-neurons: found 84 of the 84 neurons of f6, allowed fewer than all"
    with pytest.raises(UsageError) as caught:
        merge_point(describe("lenet-5"), "output", 1)
    assert str(caught.value) == "merge-layer: found 'output', allowed f6"
