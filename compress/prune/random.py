"""Criterion `random`: a score without meaning, the control to compare any other criterion with."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["score"]


def score(weight: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Score of every weight of a tensor: float32 in (0, 1], its shape; a pruned weight (zero) stays below any other."""
    drawn = generator.random(weight.shape, dtype=np.float32)
    return np.where(weight == 0, np.float32(0), 1 - drawn)
