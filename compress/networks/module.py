"""The torch module of a network of the zoo, built from its layers."""

from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from compress.networks.layers import Activation, BatchNorm, Conv2d, Dropout, Flatten, Layer, Linear, Network, Pool2d

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["build_module", "evaluating"]


def build_module(network: Network) -> "nn.Sequential":
    """Build the module with torch's default initialisation, drawn from torch's global generator.

    Its parameters and batch-norm statistics carry the names and shapes of `network.parameters()`, in that order.
    Weights outside `network.fixed_masks()` start at zero, and no gradient reaches them.
    """
    import torch
    from torch import nn

    module = nn.Sequential(OrderedDict((layer.name, _build_layer(layer)) for layer in network.layers))
    with torch.no_grad():
        for name, mask in network.fixed_masks().items():
            module.get_parameter(name).mul_(torch.from_numpy(mask))
    return module


def _build_layer(layer: Layer) -> "nn.Module":
    from torch import nn

    match layer:
        case Conv2d(connections=None):
            return nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel, padding=layer.padding, bias=layer.bias
            )
        case Conv2d():
            from compress.networks.partial import PartialConv2d

            return PartialConv2d(layer)
        case Linear():
            return nn.Linear(layer.in_features, layer.out_features, bias=layer.bias)
        case BatchNorm():
            return nn.BatchNorm2d(layer.features) if layer.spatial else nn.BatchNorm1d(layer.features)
        case Activation():
            return nn.ReLU() if layer.kind == "relu" else nn.Tanh()
        case Pool2d():
            return nn.MaxPool2d(layer.kernel) if layer.kind == "max" else nn.AvgPool2d(layer.kernel)
        case Flatten():
            return nn.Flatten()
        case Dropout():
            return nn.Dropout(layer.rate)


@contextmanager
def evaluating(module: "nn.Module") -> "Iterator[None]":
    """Evaluation mode for a while; afterwards every part is back in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
