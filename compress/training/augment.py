"""Random changes of training images, drawn anew for every image of every batch: flip, rotation, brightness, contrast.

The definitions are torchvision's (`RandomHorizontalFlip`, `RandomRotation`,
`ColorJitter`), here for a whole batch of standardised images at once, on the
device where they are, and without torchvision.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Augmentation", "augment"]

_LUMA = (0.2989, 0.587, 0.114)
"""What red, green and blue count for grey (ITU-R BT.601)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What may happen to an image; nothing by default.

    Parameters
    ----------
    flip : bool
        Mirror left and right, with probability one half.
    rotation : float
        Turn about the centre by up to so many degrees either way, bilinear; what comes in from outside is black.
    brightness : float
        Multiply the pixels by a factor from 1 - brightness to 1 + brightness.
    contrast : float
        Multiply their distance from the image's mean grey by such a factor.
    mean, standard_deviation : tuple of float
        What the images were standardised with, one value or one a channel; black and white follow from them.
    """

    flip: bool = False
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    mean: tuple[float, ...] = (0.0,)
    standard_deviation: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name, value, limit in (
            ("rotation", self.rotation, 180.0),
            ("brightness", self.brightness, 1.0),
            ("contrast", self.contrast, 1.0),
        ):
            if not 0 <= value <= limit:
                raise UsageError(f"{name}: found {value}, allowed 0 to {limit:g}")

    def __bool__(self) -> bool:
        return bool(self.flip or self.rotation or self.brightness or self.contrast)


def augment(images: "Tensor", generator: "torch.Generator | None", config: Augmentation) -> "Tensor":
    """Change a batch at random; the tensor that is given stays as it is.

    Flip, then rotation, then brightness, then contrast; after each of the last two, pixels are cut off at black and
    white. Nothing is drawn for what is switched off.

    Parameters
    ----------
    images : float32 [n, channels, height, width]
        Standardised with the mean and standard deviation of `config`.
    generator : torch.Generator or None
        On the CPU; None for torch's global one.
    config : Augmentation

    Returns
    -------
    float32 [n, channels, height, width]
    """
    import torch

    if not config or len(images) == 0:
        return images

    def uniform(low: float, high: float) -> "Tensor":
        drawn = torch.rand(len(images), generator=generator) * (high - low) + low
        return drawn.to(images.device).view(-1, 1, 1, 1)

    mean = torch.tensor(config.mean, device=images.device).view(1, -1, 1, 1)
    deviation = torch.tensor(config.standard_deviation, device=images.device).view(1, -1, 1, 1)
    pixels = images * deviation + mean
    if config.flip:
        pixels = torch.where(uniform(0, 1) < 0.5, pixels.flip(-1), pixels)
    if config.rotation:
        pixels = _rotated(pixels, uniform(-config.rotation, config.rotation).flatten())
    if config.brightness:
        pixels = (pixels * uniform(1 - config.brightness, 1 + config.brightness)).clamp(0, 1)
    if config.contrast:
        factor = uniform(1 - config.contrast, 1 + config.contrast)
        grey = _grey(pixels).mean((1, 2, 3), keepdim=True)
        pixels = (factor * pixels + (1 - factor) * grey).clamp(0, 1)
    return (pixels - mean) / deviation


def _rotated(pixels: "Tensor", degrees: "Tensor") -> "Tensor":
    """Turn every image about its centre, anticlockwise for positive degrees; black comes in from outside."""
    import torch
    from torch.nn import functional

    height, width = pixels.shape[-2:]
    angle = degrees * (math.pi / 180)
    cosine, sine = angle.cos(), angle.sin()
    zero = torch.zeros_like(angle)
    # The grid's axes run from -1 to 1 over width and height; a turn mixes them in pixels.
    rows = [cosine, -sine * (height / width), zero, sine * (width / height), cosine, zero]
    theta = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(theta, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _grey(pixels: "Tensor") -> "Tensor":
    import torch

    if pixels.shape[1] != len(_LUMA):
        return pixels
    return (pixels * torch.tensor(_LUMA, device=pixels.device).view(1, -1, 1, 1)).sum(1, keepdim=True)
