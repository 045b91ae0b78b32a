"""Criterion `taylor`: by how much, to first order, the loss changes when the weight becomes zero.

Molchanov, Tyree, Karras, Aila, Kautz: Pruning convolutional neural networks for resource efficient inference (2017),
equation 6, for single weights: |weight · gradient|.
"""

import numpy as np
from numpy.typing import NDArray

from compress.prune.criterion import Context

__all__ = ["score"]


def score(context: Context, name: str) -> NDArray[np.float32]:
    """Magnitude of weight times gradient."""
    change: NDArray[np.float32] = np.abs(context.weights[name] * context.gradients()[name])
    return change
