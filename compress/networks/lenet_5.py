"""Classical LeNet-5 as today's studies build it: 32×32 input, ReLU, max-pooling, 61,706 parameters.

LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document
recognition (1998), section II.B. Ours differs as the studies do: ReLU for the
scaled tanh, max-pooling for trainable sub-sampling, C3 sees every map, and a
plain linear output for the radial basis functions.
"""

from compress.networks.layers import Activation, Conv2d, Flatten, Linear, Network, Pool2d

__all__ = ["lenet_5"]


def lenet_5() -> Network:
    """Describe the network."""
    return Network(
        name="lenet-5",
        input_shape=(1, 32, 32),
        layers=(
            Conv2d("c1", 1, 6, 5),
            Activation("relu1"),
            Pool2d("s2"),
            Conv2d("c3", 6, 16, 5),
            Activation("relu3"),
            Pool2d("s4"),
            Conv2d("c5", 16, 120, 5),
            Activation("relu5"),
            Flatten("flatten"),
            Linear("f6", 120, 84),
            Activation("relu6"),
            Linear("output", 84, 10),
        ),
    )
