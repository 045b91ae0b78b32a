"""LeNet-300-100: two hidden fully connected layers, 784-300-100-10 on 28×28 images, 266,610 parameters.

LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document
recognition (1998), section III.C.4; with ReLU, as the compression papers have it.
"""

from compress.networks.layers import Activation, BatchNorm, Dropout, Flatten, Layer, Linear, Network

__all__ = ["lenet_300_100"]


def lenet_300_100(
    *, batch_norm: bool = False, dropout: float = 0.0, channels: int = 1, classes: int = 10, size: int = 28
) -> Network:
    """Describe the network.

    Parameters
    ----------
    batch_norm : bool
        Before both activations; the layer before it then has no bias.
    dropout : float
        Rate, after both activations.
    channels, classes : int
    size : int
        Height and width of the input.
    """

    def hidden(number: int, inputs: int, outputs: int) -> tuple[Layer, ...]:
        norm = (BatchNorm(f"norm{number}", outputs, spatial=False),) if batch_norm else ()
        drop = (Dropout(f"dropout{number}", dropout),) if dropout else ()
        return (
            Linear(f"ip{number}", inputs, outputs, bias=not batch_norm),
            *norm,
            Activation(f"relu{number}"),
            *drop,
        )

    return Network(
        name="lenet-300-100",
        input_shape=(channels, size, size),
        layers=(
            Flatten("flatten"),
            *hidden(1, channels * size * size, 300),
            *hidden(2, 300, 100),
            Linear("ip3", 100, classes),
        ),
    )
