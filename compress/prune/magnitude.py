"""Criterion `l1`: a weight's score is its magnitude.

Han, Pool, Tran, Dally: Learning both weights and connections for efficient neural networks (2015), section 3.1.
They set a threshold per layer; ours comes from the sparsity that is asked for, over all layers together.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["score"]


def score(weight: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Score of every weight of a tensor: float32, its shape."""
    return np.abs(weight)
