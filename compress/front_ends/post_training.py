"""The front end for torch modules that nobody retrains: traced, and coded as an ONNX file is."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import UsageError
from compress.front_ends.onnx_file import compress_onnx_file
from compress.graph import graph_of_module
from compress.networks.weights import weights_of
from compress.observer import Observer, Silent
from compress.onnx_file.read import OnnxFile
from compress.rounding.feeds import save_feeds
from compress.rounding.settings import PostTraining

if TYPE_CHECKING:
    from torch import Tensor, nn

    from compress.representation import CompressedModel

__all__ = ["post_training"]

_SILENT = Silent()
_DEFAULTS = PostTraining()


def post_training(
    module: "nn.Module",
    inputs: "Sequence[Tensor]",
    settings: PostTraining = _DEFAULTS,
    *,
    calibrated: bool = True,
    observer: Observer = _SILENT,
) -> "CompressedModel":
    """Code the weights of a trained module without training it; the module stays as it is.

    Parameters
    ----------
    module : torch.nn.Module
        Of one input; float32.
    inputs : sequence of tensor [batch, ...]
        One or more; the first one traces the module, and all of them are what output errors are measured on, where
        the settings ask for one, and by which biases are corrected.
    settings : PostTraining
    calibrated : bool
        The inputs are real ones. With False they only trace and measure: no bias is corrected by them.
    observer : Observer

    Returns
    -------
    CompressedModel
        Its tensors have the names of the module's parameters, where torch's exporter keeps them.

    Raises
    ------
    UnsupportedError
        The module cannot be traced.
    CompressError
        It has no weight that would shrink, or the settings cannot be kept.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> module = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
    >>> model = post_training(module, [torch.randn(16, 32)], PostTraining(bits=4, granularity="per-channel"))
    >>> {tensor.name: tensor.codebook.groups for tensor in model.coded}
    {'0.weight': 64, '2.weight': 8}
    """
    if not inputs:
        raise UsageError("inputs: found none, allowed one or more")
    graph = graph_of_module(module, inputs[0])
    model = graph.model(weights_of(module, graph))
    file = OnnxFile(model, size=model.ByteSize())
    [name] = (value.name for value in file.model.graph.input)
    with tempfile.TemporaryDirectory(prefix="compress-module-") as place:
        feeds = Path(place) / "feeds.npz"
        save_feeds(feeds, [{name: batch.detach().cpu().numpy()} for batch in inputs])
        found = compress_onnx_file(
            file, settings, feeds=feeds, folder=Path(place), calibrated=calibrated, observer=observer
        )
    return found.model if found.corrected is None else found.corrected
