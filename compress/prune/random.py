"""Criterion `random`: a score without meaning, the control to compare any other criterion with."""

import numpy as np
from numpy.typing import NDArray

from compress.prune.criterion import Context

__all__ = ["score"]


def score(context: Context, name: str) -> NDArray[np.float32]:
    """Uniform in [0, 1), drawn anew at every call."""
    return context.generator.random(context.weights[name].shape, dtype=np.float32)
