"""What a compression gives: the compressed model, and how it came to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.representation import CompressedModel
from compress.training.epochs import EpochRecord

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Compression", "StageRecord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """What one stage took, and what the network was worth after it.

    Parameters
    ----------
    stage : str
    seconds : float
        Wall time.
    held_out_loss, held_out_accuracy : float or None
        In nats, in percent; None where no examples were held out.
    """

    stage: str
    seconds: float
    held_out_loss: float | None
    held_out_accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """Everything a compression gives.

    Parameters
    ----------
    model : CompressedModel
    module : torch.nn.Module
        A copy of the module that was given, with the weights that `model` holds.
    dense, pruned : mapping of str to float32
        Every parameter after dense training, and after pruning and retraining.
    history : tuple of EpochRecord
    stages : tuple of StageRecord
    """

    model: CompressedModel
    module: "nn.Module"
    dense: Mapping[str, NDArray[np.float32]]
    pruned: Mapping[str, NDArray[np.float32]]
    history: tuple[EpochRecord, ...]
    stages: tuple[StageRecord, ...]
