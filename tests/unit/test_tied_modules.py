"""What a module has under two names is one in the file, and a file that computes something else is refused."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from compress.errors import CompressError
from compress.front_ends.module import compress_network
from compress.front_ends.post_training import post_training
from compress.recipe.recipe import Recipe
from compress.representation import CompressedModel
from compress.rounding.settings import PostTraining
from export import TARGETS

INPUTS = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
BATCHES = [(INPUTS, (INPUTS[:, 0] > 0).long())]
RECIPE = Recipe(sparsity=0.6, bits=3, rounds=1, retrain_epochs=2, tune_epochs=1)


class Tied(nn.Module):
    """One layer twice, and one more layer that has the weight of a third."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 4)
        self.again, self.other = self.middle, nn.Linear(32, 4)
        self.other.weight = self.last.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.again(torch.relu(self.middle(torch.relu(self.first(inputs))))))
        result: torch.Tensor = self.last(hidden) + self.other(torch.relu(hidden))
        return result


class Other(Tied):
    """A module that computes something else when it is traced."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result = super().forward(inputs)
        return 2 * result if torch.compiler.is_compiling() else result


def outputs(model: CompressedModel) -> np.ndarray:
    content = TARGETS["onnx"].dumps(model)[".onnx"]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": INPUTS.numpy()})[0])


def test_tied_weights_are_coded_once_and_stay_tied() -> None:
    result = compress_network(Tied(), RECIPE, train=BATCHES)
    names = list(result.model.graph.parameters)
    assert sorted(names) == [
        "first.bias", "first.weight", "last.bias", "last.weight", "middle.bias", "middle.weight", "other.bias",
    ]  # fmt: skip
    assert {tensor.name for tensor in result.model.coded} == {"first.weight", "middle.weight", "last.weight"}
    assert result.module.again is result.module.middle
    assert result.module.other.weight is result.module.last.weight
    with torch.no_grad():
        wanted = result.module.eval()(INPUTS).numpy()
    np.testing.assert_allclose(outputs(result.model), wanted, rtol=1e-5, atol=1e-5)


def test_tied_weights_that_nobody_retrains_stay_tied_too() -> None:
    model = post_training(Tied(), [INPUTS], PostTraining(bits=8))
    assert {tensor.name for tensor in model.coded} == {"first.weight", "middle.weight"}
    with torch.no_grad():
        wanted = Tied()(INPUTS).numpy()
    assert np.abs(outputs(model) - wanted).max() < 0.05 * np.abs(wanted).max()


def test_a_file_that_computes_something_else_than_its_module_is_refused() -> None:
    message = r"^Other: the compressed model differs from the module by 1 of its largest output, allowed 0\.0001; "
    with pytest.raises(CompressError, match=message):
        compress_network(Other(), RECIPE, train=BATCHES)
