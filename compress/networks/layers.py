"""Networks as plain lists of layers: the one description from which the torch module and the ONNX graph are built."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Activation",
    "BatchNorm",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Layer",
    "Linear",
    "Network",
    "Pool2d",
    "connection_mask",
]


@dataclass(frozen=True, slots=True)
class Conv2d:
    """A two-dimensional convolution; weight (out_channels, in_channels, kernel, kernel).

    `connections` lists, for every output channel, the input channels it sees; None where each sees all. What it does
    not see is a weight that is always zero.
    """

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    padding: int = 0
    bias: bool = True
    connections: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Linear:
    """A fully connected layer; weight (out_features, in_features)."""

    name: str
    in_features: int
    out_features: int
    bias: bool = True


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation of axis 1, with torch's epsilon of 1e-5; weight, bias, running_mean, running_var (features).

    `spatial` tells whether a height and a width follow that axis.
    """

    name: str
    features: int
    spatial: bool


@dataclass(frozen=True, slots=True)
class Activation:
    """An element-wise non-linearity."""

    name: str
    kind: Literal["relu", "tanh"] = "relu"


@dataclass(frozen=True, slots=True)
class Pool2d:
    """Pooling over windows of `kernel` × `kernel` that do not overlap; an incomplete window at the edge is left out."""

    name: str
    kernel: int = 2
    kind: Literal["max", "average"] = "max"


@dataclass(frozen=True, slots=True)
class Flatten:
    """All axes after the first become one."""

    name: str


@dataclass(frozen=True, slots=True)
class Dropout:
    """In training every value becomes zero with probability `rate`; nothing at all in the trained network."""

    name: str
    rate: float


Layer = Conv2d | Linear | BatchNorm | Activation | Pool2d | Flatten | Dropout


@dataclass(frozen=True, slots=True)
class Network:
    """A chain of layers.

    Parameters
    ----------
    name : str
        Its spelling, see `zoo.describe`.
    input_shape : tuple of int
        Shape of one input, without the batch axis.
    layers : tuple of Layer
        From input to output; the output is logits.
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter and batch-norm statistic, in order from input to output."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in self.layers:
            match layer:
                case Conv2d():
                    shapes[f"{layer.name}.weight"] = (layer.out_channels, layer.in_channels, layer.kernel, layer.kernel)
                    if layer.bias:
                        shapes[f"{layer.name}.bias"] = (layer.out_channels,)
                case Linear():
                    shapes[f"{layer.name}.weight"] = (layer.out_features, layer.in_features)
                    if layer.bias:
                        shapes[f"{layer.name}.bias"] = (layer.out_features,)
                case BatchNorm():
                    for part in ("weight", "bias", "running_mean", "running_var"):
                        shapes[f"{layer.name}.{part}"] = (layer.features,)
                case _:
                    pass
        return shapes

    def fixed_masks(self) -> dict[str, NDArray[np.bool_]]:
        """Name of a weight → False where it is no part of the network and always zero; only weights with such places.

        These weights are neither pruned nor survivors: no sparsity counts them.
        """
        shapes = self.parameters()
        return {
            f"{layer.name}.weight": connection_mask(layer.connections, shapes[f"{layer.name}.weight"])
            for layer in self.layers
            if isinstance(layer, Conv2d) and layer.connections is not None
        }


def connection_mask(connections: tuple[tuple[int, ...], ...], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask of a convolution's weight of `shape`, True where output and input channel are connected.

    >>> connection_mask(((0, 2), (1,)), (2, 3, 1, 1))[:, :, 0, 0].astype(int)
    array([[1, 0, 1],
           [0, 1, 0]])
    """
    mask = np.zeros(shape, dtype=np.bool_)
    for output, inputs in enumerate(connections):
        mask[output, list(inputs)] = True
    return mask
