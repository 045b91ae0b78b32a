"""The steps of a generated program: what each computes, on static shapes, with its weights; nothing about C."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Activation",
    "Add",
    "Affine",
    "Concat",
    "Convolution",
    "Linear",
    "Pointwise",
    "Pool",
    "Program",
    "Softmax",
    "Step",
    "Transpose",
    "Window",
]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Activation:
    """An element-wise function: relu, leaky_relu (slope alpha below zero), tanh or sigmoid."""

    kind: str
    alpha: float = 0.0

    @property
    def monotone(self) -> bool:
        """Whether it never decreases, so that it may pass a maximum."""
        return self.kind != "leaky_relu" or self.alpha >= 0


@dataclass(frozen=True, slots=True)
class Window:
    """Pooling over the last two axes.

    Parameters
    ----------
    kind : str
        "max" or "average".
    kernel, strides, dilations : (int, int)
    pads : (int, int, int, int)
        Top, left, bottom, right.
    inside : (int, int)
        Height and width of what is pooled.
    outside : (int, int)
        Height and width of the result.
    include_pad : bool
        Whether an average counts the padding.
    """

    kind: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    inside: tuple[int, int]
    outside: tuple[int, int]
    include_pad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step reads values and writes one; every value has a static shape, the batch axis taken off."""

    name: str
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements written."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution(Step):
    """weight float32 [out, in / groups, height, width]; pads top, left, bottom, right; scale and bias per channel.

    The result is activation(pool(scale * (weight ⋆ x) + bias)); `scale` is apart from the weights so that
    shared weights stay shared when a batch normalisation is folded.
    """

    weight: Floats
    scale: Floats | None
    bias: Floats
    inside: tuple[int, int, int]
    outside: tuple[int, int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    groups: int
    pool: Window | None
    activation: Activation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Step):
    """activation(scale * (weight @ x) + bias) for each of `rows` vectors; weight float32 [out, in]."""

    weight: Floats
    scale: Floats | None
    bias: Floats
    rows: int
    activation: Activation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Step):
    """A window over each of `channels` planes."""

    window: Window
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointwise(Step):
    """An activation alone."""

    activation: Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine(Step):
    """scale * x + bias, per channel (the first axis), `plane` elements each: an unfolded batch normalisation."""

    scale: Floats
    bias: Floats
    plane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Step):
    """The sum of two values, or of a value and a constant, under broadcasting; shapes as they are, unpadded."""

    shapes: tuple[tuple[int, ...], ...]
    constant: Floats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Step):
    """Softmax, or its logarithm, over `length` elements `inner` apart, `outer` times."""

    logarithm: bool
    outer: int
    length: int
    inner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Step):
    """Values joined: `outer` times, `lengths[i]` contiguous elements of value i."""

    outer: int
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transpose(Step):
    """Axes permuted; `source` is the shape before, `axes[i]` the source axis of axis i."""

    source: tuple[int, ...]
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """Steps in order; `input` and `output` are the names of the first value and the last."""

    steps: tuple[Step, ...]
    input: str
    output: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
