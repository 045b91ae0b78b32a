"""Criterion `layer-std`: a weight's magnitude in standard deviations of its layer.

Han, Pool, Tran, Dally: Learning both weights and connections for efficient neural networks (2015), section 3.1: "the
pruning threshold is chosen as a quality parameter multiplied by the standard deviation of a layer's weights". A score
above the quality stays; or, where a sparsity is asked for, the one quality that gives it is found by ranking.
"""

import numpy as np
from numpy.typing import NDArray

from compress.prune.criterion import Context

__all__ = ["score"]


def score(context: Context, name: str) -> NDArray[np.float32]:
    """Magnitude over the standard deviation of the whole layer, pruned weights included; of a constant layer, zero."""
    weight = context.weights[name]
    deviation = float(weight.std(dtype=np.float64)) if weight.size else 0.0
    return (np.abs(weight) / deviation).astype(np.float32) if deviation > 0 else np.zeros_like(weight)
