"""Networks as plain lists of layers: the one description from which the torch module and the ONNX graph are built."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Activation", "Conv2d", "Flatten", "Layer", "Linear", "Network", "Pool2d"]


@dataclass(frozen=True, slots=True)
class Conv2d:
    """A two-dimensional convolution with a bias; weight (out_channels, in_channels, kernel, kernel)."""

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    padding: int = 0


@dataclass(frozen=True, slots=True)
class Linear:
    """A fully connected layer with a bias; weight (out_features, in_features)."""

    name: str
    in_features: int
    out_features: int


@dataclass(frozen=True, slots=True)
class Activation:
    """An element-wise non-linearity."""

    name: str
    kind: Literal["relu", "tanh"] = "relu"


@dataclass(frozen=True, slots=True)
class Pool2d:
    """Pooling over windows of `kernel` × `kernel` that do not overlap."""

    name: str
    kernel: int = 2
    kind: Literal["max", "average"] = "max"


@dataclass(frozen=True, slots=True)
class Flatten:
    """All axes after the first become one."""

    name: str


Layer = Conv2d | Linear | Activation | Pool2d | Flatten


@dataclass(frozen=True, slots=True)
class Network:
    """A chain of layers.

    Parameters
    ----------
    name : str
        Its key in NETWORKS.
    input_shape : tuple of int
        Shape of one input, without the batch axis.
    layers : tuple of Layer
        From input to output; the output is logits.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, in order from input to output."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in self.layers:
            if isinstance(layer, Conv2d):
                shapes[f"{layer.name}.weight"] = (layer.out_channels, layer.in_channels, layer.kernel, layer.kernel)
                shapes[f"{layer.name}.bias"] = (layer.out_channels,)
            elif isinstance(layer, Linear):
                shapes[f"{layer.name}.weight"] = (layer.out_features, layer.in_features)
                shapes[f"{layer.name}.bias"] = (layer.out_features,)
        return shapes
