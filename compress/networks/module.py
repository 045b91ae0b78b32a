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
            return {"relu": nn.ReLU, "tanh": nn.Tanh}[layer.kind]()
        case Pool2d():
            return {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[layer.kind](layer.kernel)
        case Flatten():
            return nn.Flatten()
