"""Criteria `l1` and `l2`: a weight's score is its magnitude, or its square.

Han, Pool, Tran, Dally: Learning both weights and connections for efficient neural networks (2015), section 3.1.
They set a threshold per layer; ours comes from the sparsity that is asked for. A single weight ranks alike by both
norms: they differ where scores are added up over filters, see `filter_norm`.
"""

import numpy as np
from numpy.typing import NDArray

from compress.prune.criterion import Context

__all__ = ["l1", "l2"]


def l1(context: Context, name: str) -> NDArray[np.float32]:
    """Magnitude of every weight."""
    return np.abs(context.weights[name])


def l2(context: Context, name: str) -> NDArray[np.float32]:
    """Square of every weight."""
    return np.square(context.weights[name])
