"""Examples held as tensors and cut into batches, in a new order and changed anew for every pass over them."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from compress.augment import Augmentation, augment

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Batches"]


class Batches:
    """Examples held as tensors on the device, cut into batches; no copy, no worker processes.

    Parameters
    ----------
    inputs : float32 [n, ...]
    labels : int64 [n]
    batch_size : int
    generator : torch.Generator, optional
        Draws a new order for every pass, and the shifts; without it the order stays, and nothing is shifted.
    shift : int
        In training, every batch is moved by up to so many pixels on both axes, rolled over the edge.
    changes : Augmentation, optional
        What else happens to every image in training, before the shift.
    """

    def __init__(
        self,
        inputs: "Tensor",
        labels: "Tensor",
        batch_size: int,
        generator: "torch.Generator | None" = None,
        shift: int = 0,
        changes: Augmentation | None = None,
    ) -> None:
        self._inputs, self._labels, self._batch_size = inputs, labels, batch_size
        self._generator, self._shift, self._changes = generator, shift, changes

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._batch_size)

    def __iter__(self) -> "Iterator[tuple[Tensor, Tensor]]":
        import torch

        count = len(self._labels)
        if self._generator is None:
            for start in range(0, count, self._batch_size):
                yield self._inputs[start : start + self._batch_size], self._labels[start : start + self._batch_size]
            return
        order = torch.randperm(count, generator=self._generator).to(self._labels.device)
        reach = self._shift
        shifts = torch.randint(-reach, reach + 1, (len(self), 2), generator=self._generator).tolist()
        for number, start in enumerate(range(0, count, self._batch_size)):
            chosen = order[start : start + self._batch_size]
            inputs = self._inputs[chosen]
            if self._changes:
                inputs = augment(inputs, self._generator, self._changes)
            yield (inputs.roll(shifts[number], (-2, -1)) if reach else inputs), self._labels[chosen]
