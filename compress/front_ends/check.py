"""What a compression hands over computes what its module computes, or is refused."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import CompressError
from compress.graph import Graph, serialise
from compress.networks.module import evaluating
from compress.output_error import worst_error
from compress.representation import CompressedModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

__all__ = ["check_outputs"]

_EXAMPLES = 16
"""On which the model is compared with the module: another network shows on any of them."""

_TOLERANCE = 1e-4
"""Of the largest output: sums of float32 in another order differ by less, another network by far more."""


def check_outputs(model: CompressedModel, module: "nn.Module", example: "Callable[[], Tensor]") -> None:
    """Raise `CompressError` unless onnxruntime gets from the model what the module gives.

    Parameters
    ----------
    model : CompressedModel
    module : torch.nn.Module
        With the weights that `model` holds; run on the CPU, and back on its device afterwards.
    example : callable
        Gives inputs [batch, ...] where random ones do not do: they are no floats, or of an open shape.
    """
    import onnxruntime
    import torch

    inputs = _random_inputs(model.graph)
    if inputs is None:
        inputs = example()[:_EXAMPLES].cpu()
    device = next(module.parameters()).device
    with evaluating(module), torch.no_grad():
        wanted = module.cpu()(inputs).numpy()
    module.to(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory(prefix="compress-check-") as place:
        for suffix, content in serialise(model.graph.model(model.weights()), "model").items():
            (Path(place) / f"model{suffix}").write_bytes(content)
        session = onnxruntime.InferenceSession(
            str(Path(place) / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        [found] = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    difference = worst_error(wanted, found)
    if not difference <= _TOLERANCE:
        raise CompressError(
            f"{type(module).__name__}: the compressed model differs from the module by {difference:.2g} of its largest "
            f"output, allowed {_TOLERANCE:g}; this is a defect, or the module computes something else when it is traced"
        )


def _random_inputs(graph: Graph) -> "Tensor | None":
    """Normally distributed inputs of the graph's shape; None where that is open behind the batch, or no float's."""
    import torch
    from onnx import TensorProto

    proto = graph.hollow().graph
    stored = {initializer.name for initializer in proto.initializer}
    [value, *others] = (value for value in proto.input if value.name not in stored)
    tensor = value.type.tensor_type
    sizes = [axis.dim_value for axis in tensor.shape.dim[1:]]
    if others or tensor.elem_type != TensorProto.FLOAT or not sizes or not all(sizes):
        return None
    count = tensor.shape.dim[0].dim_value or _EXAMPLES
    return torch.randn(count, *sizes, generator=torch.Generator().manual_seed(0))
