"""Kinds of pruning: the table has one for every criterion and network, and each says the same things of a network."""

import numpy as np
import pytest
import torch
from torch import nn

from compress.graph import graph_of_module, graph_of_zoo
from compress.networks import NETWORKS
from compress.networks.module import build_module
from compress.networks.traced import TracedModule, trace
from compress.prune import CRITERIA
from compress.prune.strategies import STRATEGIES, choose_strategy
from compress.prune.strategies.weights import Weights
from compress.recipe.recipe import Recipe


def chain() -> TracedModule:
    torch.manual_seed(0)
    return trace(build_module(NETWORKS["lenet-5"]()), graph_of_zoo("lenet-5"))


def foreign() -> TracedModule:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 6))
    return trace(module, graph_of_module(module, torch.zeros(2, 1, 8, 8)))


def example() -> torch.Tensor:
    return torch.zeros(2, 1, 8, 8)


def test_every_criterion_has_a_kind_for_every_network_and_no_kind_is_idle() -> None:
    asked = {(criterion.unit, criterion.removes, ours) for criterion in CRITERIA.values() for ours in (True, False)}
    assert asked == STRATEGIES.keys()


def test_where_nothing_is_pruned_nothing_is_looked_for() -> None:
    def refuse() -> torch.Tensor:
        raise AssertionError

    assert isinstance(choose_strategy(Recipe(sparsity=0, criterion="channel-l2"), foreign(), refuse), Weights)


@pytest.mark.parametrize("key", STRATEGIES, ids=lambda key: "-".join(map(str, key)))
def test_a_kind_keeps_all_at_first_and_masks_what_it_then_prunes(key: tuple[str, bool, bool]) -> None:
    if key == ("filter", True, False):
        pytest.importorskip("torch_pruning", reason="channels of any module are found by torch-pruning")
    traced = chain() if key[2] else foreign()
    strategy = STRATEGIES[key](traced, example)
    assert set(strategy.ranked(traced)) <= set(traced.coded)
    kept = strategy.everything(traced)
    assert tuple(kept) == strategy.ranked(traced)
    masks = strategy.masks(traced, kept)
    assert all(np.array_equal(masks[name], present) for name, present in traced.present().items())
    shapes = traced.graph.parameters
    units = {name: shapes[name] if key[0] == "weight" else shapes[name][:1] for name in strategy.ranked(traced)}
    scores = strategy.scores(
        traced, lambda name: np.arange(np.prod(units[name]), dtype=np.float32).reshape(units[name])
    )
    chosen = strategy.choose(Recipe(sparsity=0.5, schedule="one-shot").pruning, 0, scores, traced)
    gone = sum(int(np.count_nonzero(~stays)) for stays in chosen.values())
    assert gone > 0
    after = strategy.masks(traced, chosen)
    assert all((after[name] <= present).all() for name, present in traced.present().items())
    trimmed = {name: array * after.get(name, True) for name, array in traced.weights().items()}
    with torch.no_grad():
        for name, array in trimmed.items():
            traced.module.state_dict()[name].copy_(torch.from_numpy(np.array(array)))
    notes: list[str] = []
    left, left_masks = strategy.leave(traced, chosen, notes.append)
    assert notes == []
    assert {name: mask.shape for name, mask in left_masks.items() if name in left.coded} == {
        name: left.graph.parameters[name] for name in left.coded
    }
    assert (left.graph.parameters != shapes) == key[1]
