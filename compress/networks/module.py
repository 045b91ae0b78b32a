"""The torch module of a network of the zoo, built from its layers."""

from collections import OrderedDict
from typing import TYPE_CHECKING

from compress.networks.layers import Activation, Conv2d, Flatten, Layer, Linear, Network, Pool2d

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build_module"]


def build_module(network: Network) -> "nn.Sequential":
    """Build the module with torch's default initialisation, drawn from torch's global generator.

    Its parameters carry the names and shapes of `network.parameters()`, in that order.
    """
    from torch import nn

    return nn.Sequential(OrderedDict((layer.name, _build_layer(layer)) for layer in network.layers))


def _build_layer(layer: Layer) -> "nn.Module":
    from torch import nn

    match layer:
        case Conv2d():
            return nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel, padding=layer.padding)
        case Linear():
            return nn.Linear(layer.in_features, layer.out_features)
        case Activation():
            return nn.ReLU() if layer.kind == "relu" else nn.Tanh()
        case Pool2d():
            return nn.MaxPool2d(layer.kernel) if layer.kind == "max" else nn.AvgPool2d(layer.kernel)
        case Flatten():
            return nn.Flatten()
