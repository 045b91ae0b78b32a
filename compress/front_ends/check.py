"""What a compression hands over computes what its module computes, or is refused."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import CompressError
from compress.graph import serialise
from compress.networks.module import evaluating
from compress.output_error import worst_error
from compress.representation import CompressedModel

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["check_outputs"]

_TOLERANCE = 1e-4
"""Of the largest output: sums of float32 in another order differ by less, another network by far more."""


def check_outputs(model: CompressedModel, module: "nn.Module", inputs: "Tensor") -> None:
    """Raise `CompressError` unless onnxruntime gets from the model what the module gives.

    Parameters
    ----------
    model : CompressedModel
    module : torch.nn.Module
        With the weights that `model` holds; run on the CPU, and back on its device afterwards.
    inputs : tensor [batch, ...]
    """
    import onnxruntime
    import torch

    device = next(module.parameters()).device
    with evaluating(module), torch.no_grad():
        wanted = module.cpu()(inputs.cpu()).numpy()
    module.to(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory(prefix="compress-check-") as place:
        for suffix, content in serialise(model.graph.model(model.weights()), "model").items():
            (Path(place) / f"model{suffix}").write_bytes(content)
        session = onnxruntime.InferenceSession(
            str(Path(place) / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        [found] = session.run(None, {session.get_inputs()[0].name: inputs.cpu().numpy()})
    difference = worst_error(wanted, found)
    if not difference <= _TOLERANCE:
        raise CompressError(
            f"{type(module).__name__}: the compressed model differs from the module by {difference:.2g} of its largest "
            f"output, allowed {_TOLERANCE:g}; this is a defect, or the module computes something else when it is traced"
        )
