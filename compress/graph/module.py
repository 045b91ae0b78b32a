"""The graph of a user's own torch module, traced by torch's exporter."""

from typing import TYPE_CHECKING

from compress.errors import UnsupportedError, first_line
from compress.graph.graph import Graph, graph_of_model
from compress.networks.module import evaluating

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

__all__ = ["graph_of_module"]


def graph_of_module(module: "nn.Module", example: "Tensor") -> Graph:
    """The graph of a user's own torch module, traced by torch's exporter with a free batch axis.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode while it is traced. Its float32 parameters and buffers become the graph's parameters.
    example : tensor [batch, ...]
        One input; all its axes but the first are fixed in the graph.

    Raises
    ------
    UnsupportedError
        The module cannot be traced, or a parameter is not float32.
    """
    import logging
    import warnings

    import torch

    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, tensor in named.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise UnsupportedError(f"{name}: found a parameter of type {tensor.dtype}, allowed torch.float32")
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with evaluating(module), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's exporter warns of its own deprecated internals
            program = torch.onnx.export(
                module,
                (example.detach().repeat(2, *[1] * (example.ndim - 1)),),
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=["input"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except Exception as error:  # whatever a foreign module's code raises while it is traced
        raise UnsupportedError(f"{type(module).__name__}: cannot be traced to ONNX ({first_line(error)})") from error
    finally:
        logger.setLevel(level)
    if program is None:
        raise UnsupportedError(f"{type(module).__name__}: torch gave no ONNX program")
    model = program.model_proto
    _strip_traces_(model)
    _name_once_(model, module)
    shapes = {
        initializer.name: tuple(initializer.dims)
        for initializer in model.graph.initializer
        if initializer.name in named and named[initializer.name].dtype == torch.float32
    }
    return graph_of_model(model, shapes)


def _name_once_(model: "onnx.ModelProto", module: "nn.Module") -> None:
    """Give a parameter that a module has under several names the first of them, so that it is one and stays tied."""
    first: dict[int, str] = {}
    renamed: dict[str, str] = {}
    for name, tensor in (
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ):
        own = first.setdefault(id(tensor), name)
        if own != name:
            renamed[name] = own
    seen: set[str] = set()
    for place, initializer in reversed(list(enumerate(model.graph.initializer))):
        initializer.name = renamed.get(initializer.name, initializer.name)
        if initializer.name in seen:
            del model.graph.initializer[place]
        seen.add(initializer.name)
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def _strip_traces_(model: "onnx.ModelProto") -> None:
    """Remove what a tracer notes of itself, the machine and the source: it is no part of the network."""
    for field_name in ("producer_name", "producer_version", "metadata_props"):
        model.ClearField(field_name)
    model.ClearField("doc_string")
    model.graph.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
