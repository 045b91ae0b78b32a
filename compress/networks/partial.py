"""A convolution whose output channels see only some of the input channels. Imports torch: for `build_module` alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.networks.layers import Conv2d, connection_mask

__all__ = ["PartialConv2d"]


class PartialConv2d(nn.Conv2d):
    """`nn.Conv2d` that multiplies its weight with the mask of the connections, so that no gradient reaches the rest."""

    mask: Tensor

    def __init__(self, layer: Conv2d) -> None:
        super().__init__(layer.in_channels, layer.out_channels, layer.kernel, padding=layer.padding, bias=layer.bias)
        mask = connection_mask(layer.connections or (), tuple(self.weight.shape))
        self.register_buffer("mask", torch.from_numpy(mask), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """The convolution of inputs float32 [batch, in_channels, height, width]."""
        return functional.conv2d(inputs, self.weight * self.mask, self.bias, padding=self.padding)
