"""Examples held as tensors and cut into batches, in a new order and changed anew for every pass over them."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from compress.training.augment import Augmentation, augment

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Batches"]


class Batches:
    """Examples held as tensors on the device, cut into batches; no copy, no worker processes.

    In training a single example that would be left for the last batch goes into the batch before it: batch norm has
    no variance to take over one example.

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
        return len(self._starts()) - 1

    def __iter__(self) -> "Iterator[tuple[Tensor, Tensor]]":
        import torch

        cuts = pairwise(self._starts())
        if self._generator is None:
            for start, end in cuts:
                yield self._inputs[start:end], self._labels[start:end]
            return
        order = torch.randperm(len(self._labels), generator=self._generator).to(self._labels.device)
        reach = self._shift
        shifts = torch.randint(-reach, reach + 1, (len(self), 2), generator=self._generator).tolist()
        for number, (start, end) in enumerate(cuts):
            chosen = order[start:end]
            inputs = self._inputs[chosen]
            if self._changes:
                inputs = augment(inputs, self._generator, self._changes)
            yield (inputs.roll(shifts[number], (-2, -1)) if reach else inputs), self._labels[chosen]

    def _starts(self) -> list[int]:
        """Where every batch starts, and behind them where the last one ends."""
        count = len(self._labels)
        starts = list(range(0, count, self._batch_size))
        if self._generator is not None and self._batch_size > 1 and count > 1 and count % self._batch_size == 1:
            starts.pop()
        return [*starts, count]
