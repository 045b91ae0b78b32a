"""The training loops: what an epoch passes over, what masks and shared centroids keep true, what diverging raises."""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from compress.errors import CompressError, UsageError
from compress.training.batches import Batches
from compress.training.constraints import Masks, SharedWeights
from compress.training.epochs import evaluate, fit, gradients, gram
from compress.training.optimisers import learning_rate_factor


def examples(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 6, generator=generator)
    return inputs, (inputs[:, 0] > 0).long()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


def sgd(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 40])
def test_every_pass_visits_each_example_once_in_another_order(count: int) -> None:
    inputs = torch.arange(count).float()[:, None]
    batches = Batches(inputs, torch.arange(count), 8, torch.Generator().manual_seed(3))
    passes = [torch.cat([labels for _, labels in batches]).tolist() for _ in range(3)]
    assert all(sorted(order) == list(range(count)) for order in passes)
    assert len(list(batches)) == len(batches)
    if count == 40:
        assert passes[0] != passes[1] != passes[2]
    assert all(torch.equal(x[:, 0].long(), y) for x, y in batches)


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (5, 4, [5]), (1, 4, [1]), (3, 1, [1, 1, 1]), (3, 2, [3])],
)
def test_a_single_example_that_is_left_goes_into_the_batch_before(count: int, size: int, sizes: list[int]) -> None:
    batches = Batches(torch.zeros(count, 1), torch.arange(count), size, torch.Generator().manual_seed(0))
    assert [len(labels) for _, labels in batches] == sizes
    assert len(batches) == len(sizes)


def test_batch_norm_is_trained_whatever_the_number_of_examples() -> None:
    inputs, labels = examples(17)
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    batches = Batches(inputs, labels, 8, torch.Generator().manual_seed(0))
    records = fit(module, batches, stage="s", epochs=2, optimiser=sgd)
    assert len(records) == 2
    assert module[1].num_batches_tracked == 4


def test_a_loaders_batch_of_one_example_under_batch_norm_is_told_in_one_line() -> None:
    inputs, labels = examples(3)
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(UsageError) as caught:
        fit(module, [(inputs[:2], labels[:2]), (inputs[2:], labels[2:])], stage="train", epochs=1, optimiser=sgd)
    assert str(caught.value) == ("train: found a batch of 1 example, allowed at least 2: the module has batch norm")


def test_without_a_generator_the_order_stays() -> None:
    batches = Batches(torch.zeros(5, 1), torch.arange(5), 2)
    assert [labels.tolist() for _, labels in batches] == [[0, 1], [2, 3], [4]]


def test_a_shift_rolls_a_whole_batch_and_loses_no_pixel() -> None:
    image = torch.arange(36.0).reshape(1, 1, 6, 6)
    batches = Batches(image.repeat(4, 1, 1, 1), torch.arange(4), 4, torch.Generator().manual_seed(0), shift=2)
    seen = set()
    for _ in range(60):
        for inputs, _ in batches:
            assert torch.equal(inputs, inputs[:1].expand_as(inputs))
            place = int(inputs[0].flatten().argmin())
            seen.add(((place // 6 + 3) % 6 - 3, (place % 6 + 3) % 6 - 3))
            assert torch.equal(inputs[0].flatten().sort().values, image.flatten())
    assert {row for row, _ in seen} == {column for _, column in seen} == {-2, -1, 0, 1, 2}


def test_masked_weights_stay_exactly_zero_and_the_others_move() -> None:
    module = network()
    mask = torch.from_numpy(np.random.default_rng(0).random((8, 6)) < 0.5)
    before = module[0].weight.detach().clone()
    watched: list[bool] = []

    class Watching(Masks):
        def after_step_(self) -> None:
            super().after_step_()
            watched.append(bool((module[0].weight[~mask] == 0).all()))

    fit(
        module,
        Batches(*examples(), 8),
        stage="test",
        epochs=2,
        optimiser=sgd,
        constraint=Watching(module, {"0.weight": mask}),
    )
    assert len(watched) == 11
    assert all(watched)
    assert (module[0].weight[mask] != before[mask]).all()


def test_a_centroids_gradient_is_the_sum_of_its_weights_gradients() -> None:
    module = nn.Sequential(nn.Linear(3, 2, bias=False))
    positions, codes = torch.tensor([0, 1, 3, 5]), torch.tensor([1, 0, 1, 1])
    keeper = SharedWeights(module, {"0.weight": (positions, codes, torch.tensor([-1.0, 2.0]))})
    assert module[0].weight.tolist() == [[2, -1, 0], [2, 0, 2]]
    module[0].weight.grad = torch.tensor([[1.0, 10.0, 100.0], [1000.0, 10000.0, 100000.0]])
    keeper.before_step_()
    (centroids,) = keeper.parameters()
    assert centroids.grad is not None
    assert centroids.grad.tolist() == [10.0, 1.0 + 1000.0 + 100000.0]
    with torch.no_grad():
        centroids -= 1e-3 * centroids.grad
    keeper.after_step_()
    low, high = np.float32([-1 - 0.01, 2 - 101.001])
    assert module[0].weight.flatten().tolist() == pytest.approx([high, low, 0, high, 0, high])


def test_tuning_moves_the_weights_of_a_code_together_and_leaves_zeros() -> None:
    module = network()
    weight = module[0].weight
    positions = torch.arange(0, 48, 2)
    codes = positions % 3
    keeper = SharedWeights(module, {"0.weight": (positions, codes, torch.tensor([-0.1, 0.0, 0.2]))})
    fit(module, Batches(*examples(), 8), stage="tune", epochs=2, optimiser=sgd, constraint=keeper)
    centroids = keeper.centroids()["0.weight"]
    assert (centroids != torch.tensor([-0.1, 0.0, 0.2])).all()
    assert torch.equal(weight.flatten()[positions], centroids[codes])
    assert (weight.flatten()[1::2] == 0).all()


def test_a_fit_lowers_the_loss_and_records_every_epoch() -> None:
    module = network()
    batches = Batches(*examples(), 8, torch.Generator().manual_seed(0))
    factor = learning_rate_factor("cosine", warm_up=True)
    records = fit(module, batches, stage="s", epochs=6, optimiser=sgd, rate=factor, held_out=Batches(*examples(), 40))
    assert [(record.stage, record.epoch) for record in records] == [("s", epoch) for epoch in range(1, 7)]
    assert records[-1].loss < 0.6 * records[0].loss
    measured = records[-1].held_out_loss, records[-1].held_out_accuracy
    assert measured == evaluate(module, Batches(*examples(), 40))
    assert measured == pytest.approx(evaluate(module, Batches(*examples(), 7)))  # sums in another order


def test_no_epochs_change_nothing() -> None:
    module = network()
    before = module[0].weight.detach().clone()
    assert fit(module, Batches(*examples(), 8), stage="s", epochs=0, optimiser=sgd) == []
    assert torch.equal(module[0].weight, before)


def test_a_loss_that_is_not_finite_is_raised() -> None:
    inputs, labels = examples()
    inputs[3, 1] = float("nan")
    with pytest.raises(CompressError) as caught:
        fit(network(), Batches(inputs, labels, 8), stage="train", epochs=1, optimiser=sgd)
    assert str(caught.value) == (
        "train: the loss is no longer finite in epoch 1; lower the learning rate or check the data"
    )


def test_an_evaluation_counts_by_hand_and_keeps_the_mode() -> None:
    module = nn.Sequential(nn.Identity(), nn.Linear(2, 2))
    with torch.no_grad():
        module[1].weight.copy_(torch.eye(2))
        module[1].bias.zero_()
    inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    module.train()
    loss, accuracy = evaluate(module, [(inputs[:2], torch.tensor([0, 1])), (inputs[2:], torch.tensor([1]))])
    assert module.training
    assert accuracy == pytest.approx(200 / 3)
    right, wrong = np.log1p(np.exp(-1)), np.log1p(np.exp(1))
    assert loss == pytest.approx((2 * right + wrong) / 3)


def test_an_evaluation_without_examples_is_raised() -> None:
    with pytest.raises(CompressError) as caught:
        evaluate(network(), [])
    assert str(caught.value) == "evaluation: found no examples, allowed at least one"


@pytest.mark.parametrize(
    "measure",
    [
        evaluate,
        lambda module, batches: gradients(module, batches, 5),
        lambda module, batches: gram(module, "1", batches),
    ],
    ids=["evaluate", "gradients", "gram"],
)
def test_every_part_is_back_in_its_mode_when_measuring_fails(measure: Callable[[nn.Module, object], object]) -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).train()
    module[1].eval()
    inputs, labels = examples()
    for batches in ([(inputs, labels)], [(inputs[:, :5], labels)]):
        with nullcontext() if batches[0][0].shape[1] == 6 else pytest.raises(RuntimeError):
            measure(module, batches)
        assert [part.training for part in module] == [True, False, True]
        assert module.training
