"""Networks that are not of the zoo: a user's own module and torchvision's models."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from compress.errors import UsageError
from compress.networks.resolve import ResolvedNetwork, resolve

OWN = """
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, classes)

    def forward(self, inputs):
        stem = torch.relu(self.norm(self.stem(inputs)))
        return self.head(self.drop(torch.relu(stem + self.inner(stem)).mean((2, 3))))

class Picky(nn.Linear):
    def forward(self, inputs):
        raise ValueError("wants matrices\\nonly")

def build(classes, channels):
    return Residual(classes, channels)

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 10))

def number(): return 3
def seven(): return nn.Sequential(nn.Flatten(), nn.Linear(48, 7))
def picky(): return Picky(48, 10)
def nothing(): return nn.Flatten()
def fails(): raise RuntimeError("no such file\\nsecond line")

VALUE = 3
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_network.py").write_text(OWN, "utf-8")
    (tmp_path / "broken_network.py").write_text("import nothing_of_that_name\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in ("own_network", "broken_network"):
        sys.modules.pop(name, None)


def _check_graph(resolved: ResolvedNetwork) -> None:
    torch.manual_seed(0)
    module = resolved.build()
    for name, value in module.state_dict().items():
        if "running" in name:
            value.uniform_(0.5, 1.5)
    graph = resolved.graph(module)
    assert graph.zoo is None
    assert graph == resolved.graph(module)
    assert str(Path.cwd()).encode() not in graph.skeleton
    assert b".py" not in graph.skeleton
    state = module.state_dict()
    assert set(graph.parameters) == {name for name, value in state.items() if value.is_floating_point()}
    model = graph.model({name: state[name].numpy() for name in graph.parameters})
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    module.eval()
    for count in (1, 3):
        inputs = torch.randn(count, *resolved.input_shape)
        with torch.no_grad():
            expected = module(inputs).numpy()
        assert np.abs(session.run(None, {"input": inputs.numpy()})[0] - expected).max() <= 1e-5


@pytest.mark.parametrize("name", ["own_network:build", "own_network:plain"])
def test_a_users_own_module_is_built_and_traced(name: str) -> None:
    _check_graph(resolve(name, classes=10, channels=3, size=4))


def test_classes_and_channels_of_the_data_are_handed_to_the_callable() -> None:
    module = resolve("own_network:build", classes=4, channels=1, size=6).build()
    assert module(torch.zeros(2, 1, 6, 6)).shape == (2, 4)
    assert module.training


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_network:build", "no_such_network cannot be imported (No module named 'no_such_network')"),
        ("broken_network:build", "broken_network cannot be imported (No module named 'nothing_of_that_name')"),
        ("own_network:number", "found a int, allowed a torch.nn.Module"),
        ("own_network:fails", "the callable fails (no such file)"),
        ("own_network:seven", "found an output of shape (2, 7) for two inputs, allowed (2, 10), logits"),
        ("own_network:picky", "fails on inputs of 3×4×4 (wants matrices)"),
        ("own_network:nothing", "found a module without parameters, allowed one that can be trained"),
    ],
)
def test_what_is_wrong_with_a_users_own_module_is_said_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name, classes=10, channels=3, size=4).build()
    assert str(caught.value) == f"network {name}: {message}"


@pytest.mark.parametrize(("attribute", "nearest"), [("biuld", ", nearest: build"), ("VALUE", "")])
def test_a_callable_that_is_not_there_gets_the_nearest_name(attribute: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(f"own_network:{attribute}", classes=10, channels=3, size=4)
    assert str(caught.value) == (
        f"network own_network:{attribute}, callable of own_network: found {attribute!r}, "
        f"allowed Picky, Residual, build, fails, nothing, number, picky, plain, seven{nearest}"
    )


def test_torchvisions_models_are_built_for_the_data_and_traced() -> None:
    pytest.importorskip("torchvision", exc_type=ImportError)
    resolved = resolve("torchvision:resnet18", classes=7, channels=1, size=32)
    assert (resolved.name, resolved.input_shape, resolved.classes) == ("torchvision:resnet18", (3, 32, 32), 7)
    _check_graph(resolved)


def test_an_unknown_model_of_torchvision_gets_the_nearest_name() -> None:
    models = pytest.importorskip("torchvision.models", exc_type=ImportError)
    with pytest.raises(UsageError) as caught:
        resolve("torchvision:resnet19")
    listed = ", ".join(models.list_models(module=models))
    assert str(caught.value) == (
        f"network torchvision: found 'resnet19', allowed {listed}, nearest: {caught.value.args[0].split()[-1]}"
    )
    assert str(caught.value).endswith(("nearest: resnet18", "nearest: resnet152", "nearest: resnet101"))


def test_data_of_other_than_one_or_three_channels_is_refused_for_torchvision() -> None:
    pytest.importorskip("torchvision", exc_type=ImportError)
    with pytest.raises(UsageError) as caught:
        resolve("torchvision:resnet18", channels=4)
    assert str(caught.value) == "network torchvision:resnet18: found data of 4 channels, allowed 1 or 3"


def test_without_torchvision_its_models_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UsageError) as caught:
        resolve("torchvision:resnet18")
    message = str(caught.value)
    assert message.startswith("network torchvision:resnet18: torchvision cannot be imported (")
    assert "\n" not in message
