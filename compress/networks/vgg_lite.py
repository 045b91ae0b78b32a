"""VGG-Lite: a small VGG-like network, six 3×3 convolutions with batch norm and dropout, for 32×32 images.

After Simonyan, Zisserman: Very deep convolutional networks for large-scale image
recognition (2015). Ours has three blocks of two convolutions, widths 32, 64 and
128, batch norm before every activation, and one hidden fully connected layer.
"""

from compress.errors import UsageError
from compress.networks.layers import Activation, BatchNorm, Conv2d, Dropout, Flatten, Layer, Linear, Network, Pool2d

__all__ = ["vgg_lite"]

_HIDDEN = 256
"""Units of the hidden layer. VGG's own 4,096 would have 8.4 million weights, beside 0.3 million of all convolutions."""


def vgg_lite(
    *,
    batch_norm: bool = True,
    dropout: float = 0.3,
    width: int = 32,
    channels: int = 3,
    classes: int = 10,
    size: int = 32,
) -> Network:
    """Describe the network.

    Parameters
    ----------
    batch_norm : bool
        Before every activation; the layer before it then has no bias.
    dropout : float
        Rate, after every pool and before the output.
    width : int
        Channels of the first block; the second has twice, the third four times as many.
    channels, classes : int
    size : int
        Height and width of the input, a multiple of 8.
    """
    if size < 8 or size % 8:
        raise UsageError(f"network: vgg-lite, size: found {size}, allowed a multiple of 8")

    def activated(name: str, layer: Layer, features: int, *, spatial: bool) -> tuple[Layer, ...]:
        norm = (BatchNorm(f"norm{name}", features, spatial),) if batch_norm else ()
        return (layer, *norm, Activation(f"relu{name}"))

    def drop(name: str) -> tuple[Layer, ...]:
        return (Dropout(f"dropout{name}", dropout),) if dropout else ()

    layers: list[Layer] = []
    inputs = channels
    for block in (1, 2, 3):
        outputs = width << (block - 1)
        for number in (1, 2):
            name = f"{block}_{number}"
            conv = Conv2d(f"conv{name}", inputs, outputs, 3, padding=1, bias=not batch_norm)
            layers += activated(name, conv, outputs, spatial=True)
            inputs = outputs
        layers += (Pool2d(f"pool{block}"), *drop(str(block)))
    side = size // 8
    hidden = Linear("fc1", inputs * side * side, _HIDDEN, bias=not batch_norm)
    layers += (Flatten("flatten"), *activated("4", hidden, _HIDDEN, spatial=False), *drop("4"))
    layers.append(Linear("fc2", _HIDDEN, classes))
    return Network(name="vgg-lite", input_shape=(channels, size, size), layers=tuple(layers))
