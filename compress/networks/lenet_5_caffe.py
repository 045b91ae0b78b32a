"""The LeNet-5 of the compression papers: Caffe's 20-50-500-10 on 28×28 images, 431,080 parameters.

Han, Pool, Tran, Dally: Learning both weights and connections for efficient
neural networks (2015), table 4; the layers and their names are those of Caffe's
MNIST example, which is linear between convolution and pool.
"""

from compress.errors import UsageError
from compress.networks.layers import Activation, Conv2d, Flatten, Linear, Network, Pool2d

__all__ = ["lenet_5_caffe"]


def lenet_5_caffe(*, channels: int = 1, classes: int = 10, size: int = 28) -> Network:
    """Describe the network for square images of `size` pixels a side."""
    if size < 16 or size % 4:
        raise UsageError(f"network: lenet-5-caffe, size: found {size}, allowed a multiple of 4 from 16")
    side = ((size - 4) // 2 - 4) // 2
    return Network(
        name="lenet-5-caffe",
        input_shape=(channels, size, size),
        layers=(
            Conv2d("conv1", channels, 20, 5),
            Pool2d("pool1"),
            Conv2d("conv2", 20, 50, 5),
            Pool2d("pool2"),
            Flatten("flatten"),
            Linear("ip1", 50 * side * side, 500),
            Activation("relu1"),
            Linear("ip2", 500, classes),
        ),
    )
