"""Order-0 entropy: what no coder that takes symbols one by one can go below."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["entropy_bits"]


def entropy_bits(counts: NDArray[np.integer]) -> float:
    """Order-0 entropy of a histogram, in bits for all its symbols together.

    Parameters
    ----------
    counts : integer [alphabet]
        Occurrences of every symbol; zeros count for nothing, and a histogram of no symbols or of one has no entropy.

    >>> entropy_bits(np.array([2, 0, 1, 1]))
    6.0
    """
    present = counts[counts > 0].astype(np.float64)
    return float((present * np.log2(present.sum() / present)).sum())
