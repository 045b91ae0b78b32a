"""Channels leave modules that are not of the zoo: what is tied leaves together, and the smaller module is the same."""

import sys
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from observers import Notes
from torch import Tensor, nn

from compress.errors import UnsupportedError, UsageError
from compress.front_ends.compression import Compression
from compress.front_ends.module import compress_network
from compress.observer import Observer, Silent
from compress.packed.container import dumps, loads
from compress.prune import CRITERIA
from compress.prune.channels import channel_masks, find_channels, remove_channels_
from compress.prune.selection import count_kept
from compress.recipe.recipe import Recipe
from compress.representation import CodedTensor
from compress.training.batches import Batches
from compress.training.epochs import evaluate

REMOVING = [name for name, criterion in CRITERIA.items() if criterion.removes]
QUICK = {"rounds": 2, "retrain_epochs": 1, "tune_epochs": 1, "retrain_learning_rate": 0.01, "bits": 4}


class Residual(nn.Module):
    """Two sums, a concatenation, a depthwise and a grouped convolution, and a flatten before the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.inner, self.outer = nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(6, 8, 1)
        self.deep, self.point = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
        self.side = nn.Conv2d(8, 4, 1)
        self.grouped = nn.Conv2d(12, 12, 3, groups=2)
        self.head = nn.Linear(12 * 4, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        first = torch.relu(self.norm(self.stem(inputs)))
        second = first + self.outer(torch.relu(self.inner(first)))
        third = torch.relu(second + self.point(torch.relu(self.deep(second))))
        both = torch.cat([third, torch.relu(self.side(third))], 1)
        return self.head(torch.relu(self.grouped(both)).flatten(1))


_SILENT = Silent()


def examples(count: int = 24, size: int = 4) -> Batches:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 3, size, size, generator=generator)
    return Batches(inputs, torch.arange(count) % 10, 8, torch.Generator().manual_seed(2))


def residual() -> Residual:
    torch.manual_seed(0)
    return Residual()


def found(module: nn.Module, example: Tensor) -> dict[str, tuple[str, ...]]:
    coded = [f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    return {group.name: group.weights for group in find_channels(module, example, coded)}


def compress(module: nn.Module, *, size: int = 4, observer: Observer = _SILENT, **changes: object) -> Compression:
    recipe = Recipe.of({**QUICK, **changes})
    return compress_network(module, recipe, train=examples(size=size), observer=observer)


def run_file(result: Compression, inputs: Tensor) -> np.ndarray:
    model = loads(dumps(result.model))
    content = model.graph.model(model.weights()).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": inputs.numpy()})[0])


def test_layers_that_a_sum_ties_are_one_group_and_grouped_convolutions_stay() -> None:
    # What the grouped convolution reads (the sums and the side branch) and what it gives can only go in equal parts.
    assert found(residual(), torch.zeros(2, 3, 4, 4)) == {"inner.weight": ("inner.weight",)}
    module = residual()
    module.grouped = nn.Conv2d(12, 12, 3)
    assert found(module, torch.zeros(2, 3, 4, 4)) == {
        "stem.weight": ("stem.weight", "outer.weight", "deep.weight", "point.weight"),
        "inner.weight": ("inner.weight",),
        "side.weight": ("side.weight",),
        "grouped.weight": ("grouped.weight",),
    }


@pytest.mark.parametrize("seed", range(4))
def test_channels_that_give_zero_can_leave(seed: int) -> None:
    module = residual().eval()
    module.grouped = nn.Conv2d(12, 12, 3)
    generator = np.random.default_rng(seed)
    module.norm.running_mean.uniform_(-1, 1)
    module.norm.running_var.uniform_(0.5, 2)
    example = torch.randn(2, 3, 4, 4)
    coded = [name for name, parameter in module.named_parameters() if parameter.ndim > 1]
    groups = find_channels(module, example, coded)
    kept = {group.name: generator.random(group.size) < 0.5 for group in groups}
    for mask in kept.values():
        mask[generator.integers(mask.size)] = True
    masks = channel_masks(groups, kept, {name: tuple(p.shape) for name, p in module.named_parameters()})
    with torch.no_grad():
        for name, mask in masks.items():
            module.get_parameter(name).mul_(torch.from_numpy(mask))
        expected = module(example).numpy()
        assert remove_channels_(module, example, groups, kept) < 1e-5
        inputs = torch.randn(5, 3, 4, 4)
        assert module(example).numpy() == pytest.approx(expected, abs=1e-5)
        assert module(inputs).shape == (5, 10)
    stem, inner, side, grouped = (int(kept[f"{name}.weight"].sum()) for name in ("stem", "inner", "side", "grouped"))
    shapes = {name: tuple(parameter.shape) for name, parameter in module.named_parameters() if parameter.ndim > 1}
    assert shapes == {
        "stem.weight": (stem, 3, 3, 3),
        "inner.weight": (inner, stem, 3, 3),
        "outer.weight": (stem, inner, 1, 1),
        "deep.weight": (stem, 1, 3, 3),
        "point.weight": (stem, stem, 1, 1),
        "side.weight": (side, stem, 1, 1),
        "grouped.weight": (grouped, stem + side, 3, 3),
        "head.weight": (10, grouped * 4),
    }
    assert not module.training


@pytest.mark.parametrize("criterion", REMOVING)
def test_a_residual_network_shrinks_to_the_exact_count_and_its_file_runs(criterion: str) -> None:
    module = residual()
    module.grouped = nn.Conv2d(12, 12, 3)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    notes = Notes()
    result = compress(module, criterion=criterion, sparsity=0.5, observer=notes)
    kept = count_kept(8 + 6 + 4 + 12, 0.5)
    assert notes.of("prune")[-1].endswith(f", {30 - kept} of 30 filters")
    coded = [tensor for tensor in result.model.tensors if isinstance(tensor, CodedTensor)]
    shapes = {tensor.name: tensor.shape for tensor in coded}
    assert sum(shapes[f"{name}.weight"][0] for name in ("stem", "inner", "side", "grouped")) == kept
    assert shapes["outer.weight"][:2] == (shapes["stem.weight"][0], shapes["inner.weight"][0])
    assert all(tensor.nnz == tensor.size for tensor in coded)
    assert sum(p.numel() for p in result.module.parameters()) < sum(p.numel() for p in module.parameters())
    inputs = torch.randn(3, 3, 4, 4)
    with torch.no_grad():
        expected = result.module.eval()(inputs).numpy()
    assert np.abs(run_file(result, inputs) - expected).max() <= 1e-5
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_pruned_channels_stay_zero_between_the_rounds_and_the_best_of_each_group_stays() -> None:
    module = residual()
    module.grouped = nn.Conv2d(12, 12, 3)
    result = compress(module, criterion="channel-l2", sparsity=0.99, retrain_epochs=0, tune_epochs=0, half=False)
    assert [record.stage for record in result.history] == ["prune 1"]
    assert {name: array.shape[0] for name, array in result.pruned.items() if array.ndim > 1} == {
        "stem.weight": 1,
        "inner.weight": 1,
        "outer.weight": 1,
        "deep.weight": 1,
        "point.weight": 1,
        "side.weight": 1,
        "grouped.weight": 1,
        "head.weight": 10,
    }


def test_the_weakest_channels_of_all_tied_layers_go() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 4, bias=False), nn.Linear(3, 4, bias=False), nn.Linear(4, 10)

        def forward(self, inputs: Tensor) -> Tensor:
            flat = inputs.mean((2, 3))
            return self.c(torch.relu(self.a(flat) + self.b(flat)))

    module = Tied()
    with torch.no_grad():  # mean magnitudes over both: 2, 3, 5, 4 halves
        module.a.weight.copy_(torch.tensor([[1.0], [0.0], [4.0], [2.0]]).expand(4, 3))
        module.b.weight.copy_(torch.tensor([[-1.0], [3.0], [1.0], [-2.0]]).expand(4, 3))
    fields = {"criterion": "channel-l1", "sparsity": 0.5, "schedule": "one-shot", "retrain_epochs": 0}
    result = compress(module, **fields)
    assert result.pruned["a.weight"][:, 0].tolist() == [4, 2]
    assert result.pruned["b.weight"][:, 0].tolist() == [1, -2]
    assert result.pruned["c.weight"].shape == (10, 2)


def test_every_group_to_one_sparsity_or_to_its_own() -> None:
    module = residual()
    module.grouped = nn.Conv2d(12, 12, 3)
    fields = {"criterion": "channel-l1", "retrain_epochs": 0, "tune_epochs": 0, "round_epochs": 0}
    uniform = compress(module, scope="uniform", sparsity=0.5, **fields).pruned
    assert [uniform[f"{name}.weight"].shape[0] for name in ("stem", "inner", "side", "grouped")] == [4, 3, 2, 6]
    own = compress(module, scope="per-layer", layer_sparsity="stem=0.25,side=0.75", sparsity=0, **fields).pruned
    assert [own[f"{name}.weight"].shape[0] for name in ("stem", "inner", "side", "grouped")] == [6, 6, 1, 12]


def test_frozen_layers_shrink_and_stay_frozen() -> None:
    module = residual()
    for parameter in (*module.stem.parameters(), *module.inner.parameters(), *module.outer.parameters()):
        parameter.requires_grad_(False)
    example = torch.randn(2, 3, 4, 4)
    groups = find_channels(module, example, ["inner.weight"])
    remove_channels_(module, example, groups, {"inner.weight": np.arange(6) < 2})
    assert (module.inner.out_channels, module.outer.in_channels) == (2, 2)
    assert not module.inner.weight.requires_grad
    assert not module.outer.weight.requires_grad
    assert module.head.weight.requires_grad


def test_what_makes_something_of_a_zero_is_told() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Sigmoid(), nn.Linear(8, 10))
    notes = Notes()
    result = compress(module, criterion="channel-l1", sparsity=0.5, observer=notes)
    assert notes.of("prune")[-1].startswith("removing the channels changes the outputs by 0.")
    assert result.module[1].out_features == 4
    assert np.isfinite(evaluate(result.module, examples())[0])


def test_torchvisions_resnet_shrinks_and_its_file_runs() -> None:
    models = pytest.importorskip("torchvision.models", exc_type=ImportError)
    torch.manual_seed(0)
    module = models.get_model("resnet18", weights=None, num_classes=10)
    result = compress(module, size=32, criterion="channel-l1", sparsity=0.75, rounds=1, tune_epochs=0)
    assert sum(p.numel() for p in result.module.parameters()) < 0.4 * sum(p.numel() for p in module.parameters())
    assert type(result.module) is type(module)
    state = result.module.state_dict()
    assert state["layer1.0.conv2.weight"].shape[0] == state["conv1.weight"].shape[0] == state["bn1.weight"].shape[0]
    assert state["fc.weight"].shape == (10, state["layer4.1.conv2.weight"].shape[0])
    inputs = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = result.module.eval()(inputs).numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    assert np.abs(run_file(result, inputs) - expected).max() <= 1e-5 * scale


def test_the_same_seed_gives_the_same_smaller_network_twice() -> None:
    one, other = (compress(residual(), criterion="channel-l1", sparsity=0.5) for _ in range(2))
    assert dumps(one.model) == dumps(other.model)


def refused(build: Callable[[], nn.Module]) -> str:
    with pytest.raises(UnsupportedError) as caught:
        compress(build(), criterion="channel-l1", sparsity=0.5)
    return str(caught.value)


def test_a_network_without_channels_to_remove_is_refused() -> None:
    assert refused(lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 10))) == (
        "Sequential: found no channels that can be removed, allowed filter-l1, filter-l2, which mask filters and leave "
        "the network as it is"
    )


def test_a_network_that_fixes_its_widths_is_refused() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 6, 1), nn.Linear(6, 10)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.last(self.first(inputs).reshape(len(inputs), 6, 16).mean(2))

    message = refused(Fixed)
    assert message.startswith("Fixed: does not run without its pruned channels (")
    assert message.endswith("), allowed filter-l1, filter-l2, which mask filters and leave the network as it is")
    assert "\n" not in message


def test_a_layer_that_is_not_ranked_on_its_own_is_told_before_any_training() -> None:
    module = residual()
    module.grouped = nn.Conv2d(12, 12, 3)
    notes = Notes()
    with pytest.raises(UsageError) as caught:
        compress(module, criterion="channel-l1", scope="per-layer", layer_sparsity="outer=0.5", observer=notes)
    assert str(caught.value) == (
        "layer-sparsity, layer: found 'outer', allowed stem, inner, side, grouped, conv, fc, default"
    )
    assert notes.of("prune") == []


def test_without_torch_pruning_it_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    assert refused(residual) == (
        "removing channels of a network that is not of the zoo needs torch-pruning, found none; allowed after "
        "pip install torch-pruning, or with filter-l1, filter-l2, which mask filters"
    )


def test_a_network_that_cannot_be_traced_is_refused() -> None:
    models = pytest.importorskip("torchvision.models", exc_type=ImportError)
    module = models.get_model("shufflenet_v2_x0_5", weights=None, num_classes=10)
    with pytest.raises(UnsupportedError) as caught:
        find_channels(module, torch.zeros(2, 3, 32, 32), ["fc.weight"])
    assert str(caught.value) == (
        "ShuffleNetV2: torch-pruning cannot trace it (integer division or modulo by zero), allowed filter-l1, "
        "filter-l2, which mask filters and leave the network as it is"
    )
