"""Criterion `neuron-similarity`: of the two filters of a layer that are most alike, the weaker one goes first.

After Srinivas, Babu: Data-free parameter pruning for deep neural networks (2015), section 3: neurons whose incoming
weights are alike do the same work. Theirs is the squared difference weighted by the outgoing weights; ours is the
cosine between incoming weights, as in Gedeon, Harris: Network reduction techniques (1991), there of activations.
"""

import numpy as np
from numpy.typing import NDArray

from compress.prune.criterion import Context

__all__ = ["score"]


def score(context: Context, name: str) -> NDArray[np.float32]:
    """One minus the cosine to the most similar filter still there when a filter's turn to go comes: float32 [rows].

    Turns are taken from the most similar pair on; of a pair the filter of the smaller norm goes, of equal ones the
    later. A later turn never scores less than an earlier one. A filter of zeros is like any other; the last one that
    is left scores two.
    """
    weight = context.weights[name]
    filters = weight.reshape(weight.shape[0], -1).astype(np.float64)
    norms = np.sqrt(np.square(filters).sum(axis=1))
    unit = filters / np.where(norms > 0, norms, 1)[:, None]
    cosines = np.where(norms[:, None] * norms > 0, unit @ unit.T, 1.0)
    np.fill_diagonal(cosines, -np.inf)
    scores = np.full(len(filters), 2.0)
    lowest = 0.0
    for _ in range(len(filters) - 1):
        first, second = np.unravel_index(int(np.argmax(cosines)), cosines.shape)
        lowest = max(lowest, 1.0 - float(cosines[first, second]))
        gone = first if norms[first] < norms[second] else second
        scores[gone] = lowest
        cosines[gone, :] = cosines[:, gone] = -np.inf
    return np.asarray(np.minimum(scores, 2.0), np.float32)
