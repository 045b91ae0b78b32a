"""Criteria by filter: the mean magnitude of a filter's weights, or the root of their mean square.

Li, Kadav, Durdanovic, Samet, Graf: Pruning filters for efficient ConvNets (2017), section 3.1. They rank the filters
of one layer by the sum; ours is the mean, so that layers of different widths can be ranked together. Within a layer
the order is the same.
"""

import numpy as np
from numpy.typing import NDArray

from compress.prune.criterion import Context

__all__ = ["l1", "l2"]


def l1(context: Context, name: str) -> NDArray[np.float32]:
    """Mean magnitude of every filter: float32 [rows]."""
    return np.asarray(np.abs(_filters(context, name)).mean(axis=1, dtype=np.float64), np.float32)


def l2(context: Context, name: str) -> NDArray[np.float32]:
    """Root mean square of every filter: float32 [rows]."""
    return np.asarray(np.sqrt(np.square(_filters(context, name), dtype=np.float64).mean(axis=1)), np.float32)


def _filters(context: Context, name: str) -> NDArray[np.float32]:
    weight = context.weights[name]
    return weight.reshape(weight.shape[0], -1)
