"""Pruning: criteria that score weights, schedules that say when how many go, and the exact selection between them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from compress.prune import magnitude, random, schedules
from compress.prune.selection import count_kept, keep_highest, select_globally

__all__ = ["CRITERIA", "SCHEDULES", "count_kept", "keep_highest", "select_globally"]

CRITERIA: Mapping[str, Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]] = MappingProxyType(
    {
        "l1": magnitude.score,
        "random": random.score,
    }
)
"""Name of a criterion → the function from a weight (any shape) to the score of each of its elements."""

SCHEDULES: Mapping[str, Callable[[float, int], tuple[float, ...]]] = MappingProxyType(
    {
        "iterative": schedules.iterative,
        "cubic": schedules.cubic,
        "one-shot": schedules.one_shot,
    }
)
"""Name of a schedule → the function from final sparsity and number of rounds to the sparsity after every round."""
