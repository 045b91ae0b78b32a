"""What every family of the zoo must do, with each of its options: one description, the same network everywhere."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from compress.graph import graph_of_zoo
from compress.networks import NETWORKS, describe
from compress.networks.module import build_module
from compress.networks.resolve import resolve
from compress.spelling import defaults_of, spell

_NUMBERS = {"classes": 7, "channels": 2, "width": 8}


def _others(family: str, option: str, default: Any) -> list[Any]:
    """Values of an option that are not its default."""
    kind = get_type_hints(NETWORKS[family])[option]
    if get_origin(kind) is Literal:
        return [value for value in get_args(kind) if value != default]
    if kind is bool:
        return [not default]
    if kind is float:
        return [0.25 if default != 0.25 else 0.5]
    assert kind is int, f"{family}, {option}: an option is a Literal, bool, int or float"
    return [default + 8 if option == "size" else _NUMBERS[option]]


def _spellings() -> Iterator[str]:
    for family, function in NETWORKS.items():
        yield family
        defaults = defaults_of(function)
        every = {option: _others(family, option, default)[0] for option, default in defaults.items()}
        for option, default in defaults.items():
            for value in _others(family, option, default):
                yield spell(family, {option: value}, NETWORKS)
        yield spell(family, every, NETWORKS)


SPELLINGS = list(_spellings())


def _module(spelling: str) -> torch.nn.Sequential:
    """Build the network with weights and batch-norm statistics that are far from what they start as."""
    torch.manual_seed(0)
    module = build_module(describe(spelling))
    for name, value in module.state_dict().items():
        if "norm" in name and value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return module.eval()


def _weights(module: torch.nn.Module, spelling: str) -> dict[str, NDArray[np.float32]]:
    state = module.state_dict()
    return {name: state[name].numpy() for name in graph_of_zoo(spelling).parameters}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_spelling_names_the_network_and_nothing_else_does(spelling: str) -> None:
    assert describe(spelling).name == spelling
    assert graph_of_zoo(spelling).zoo == spelling
    assert resolve(spelling).name == spelling


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_layers_module_and_graph_have_the_same_parameters_in_the_same_order(spelling: str) -> None:
    state = {
        name: tuple(value.shape)
        for name, value in _module(spelling).state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert list(describe(spelling).parameters().items()) == list(state.items())
    assert list(graph_of_zoo(spelling).parameters.items()) == list(state.items())


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_graph_passes_the_checker_and_computes_what_the_module_computes(spelling: str) -> None:
    module, shape = _module(spelling), describe(spelling).input_shape
    model = graph_of_zoo(spelling).model(_weights(module, spelling))
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        inputs = torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected = module(inputs).numpy()
        (found,) = session.run(["logits"], {"input": inputs.numpy()})
        assert found.shape == expected.shape == (count, resolve(spelling).classes)
        assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_gradient_reaches_every_weight_that_is_there_and_no_other(spelling: str) -> None:
    network = describe(spelling)
    module = _module(spelling).train()
    inputs = torch.randn(64, *network.input_shape, generator=torch.Generator().manual_seed(1))
    module(inputs).pow(2).sum().backward()
    fixed = network.fixed_masks()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, name
        if name in fixed:
            assert not parameter.detach().numpy()[~fixed[name]].any()
            assert not parameter.grad.numpy()[~fixed[name]].any()


@pytest.mark.parametrize("family", NETWORKS)
def test_the_same_seed_gives_the_same_weights(family: str) -> None:
    first, second = _module(family).state_dict(), _module(family).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_graphs_are_built_without_torch_and_are_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib, sys\n"
        "from compress.graph import graph_of_zoo\n"
        "print(*(hashlib.sha256(graph_of_zoo(name).skeleton).hexdigest() for name in sys.argv[1:]))\n"
        "assert 'torch' not in sys.modules\n"
    )
    output = subprocess.run([sys.executable, "-c", code, *SPELLINGS], capture_output=True, text=True, check=True).stdout
    assert output.split() == [hashlib.sha256(graph_of_zoo(name).skeleton).hexdigest() for name in SPELLINGS]
