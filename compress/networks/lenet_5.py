"""Classical LeNet-5 as today's studies build it: 32×32 input, ReLU, max-pooling, 61,706 parameters.

LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document
recognition (1998), section II.B. Ours differs as the studies do: ReLU for the
scaled tanh, max-pooling for trainable sub-sampling, C3 sees every map, and a
plain linear output for the radial basis functions. Options bring tanh, average
pooling and the paper's own table I for C3 back.
"""

from typing import Literal

from compress.networks.layers import Activation, BatchNorm, Conv2d, Dropout, Flatten, Layer, Linear, Network, Pool2d

__all__ = ["lenet_5"]

_TABLE_I = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)
"""The maps of S2 that each of C3's 16 maps sees."""


def lenet_5(
    *,
    activation: Literal["relu", "tanh"] = "relu",
    pool: Literal["max", "average"] = "max",
    c3: Literal["full", "lecun"] = "full",
    batch_norm: bool = False,
    dropout: float = 0.0,
    channels: int = 1,
    classes: int = 10,
) -> Network:
    """Describe the network.

    Parameters
    ----------
    activation, pool : str
    c3 : str
        `lecun` connects each of C3's maps to 3, 4 or 6 of the 6 maps below, as the paper does.
    batch_norm : bool
        Before every activation; the layer before it then has no bias.
    dropout : float
        Rate, before each of the two fully connected layers.
    channels, classes : int
    """

    def block(number: int, layer: Layer, features: int, *, spatial: bool) -> tuple[Layer, ...]:
        norm = (BatchNorm(f"norm{number}", features, spatial),) if batch_norm else ()
        return (layer, *norm, Activation(f"{activation}{number}", activation))

    def drop(number: int) -> tuple[Layer, ...]:
        return (Dropout(f"dropout{number}", dropout),) if dropout else ()

    bias, connections = not batch_norm, _TABLE_I if c3 == "lecun" else None
    return Network(
        name="lenet-5",
        input_shape=(channels, 32, 32),
        layers=(
            *block(1, Conv2d("c1", channels, 6, 5, bias=bias), 6, spatial=True),
            Pool2d("s2", kind=pool),
            *block(3, Conv2d("c3", 6, 16, 5, bias=bias, connections=connections), 16, spatial=True),
            Pool2d("s4", kind=pool),
            *block(5, Conv2d("c5", 16, 120, 5, bias=bias), 120, spatial=True),
            Flatten("flatten"),
            *drop(5),
            *block(6, Linear("f6", 120, 84, bias=bias), 84, spatial=False),
            *drop(6),
            Linear("output", 84, classes),
        ),
    )
