"""How much accuracy each layer loses when it alone is pruned, or alone is shared in fewer bits, without retraining.

Han, Pool, Tran, Dally (2015), figure 6. Measured on held-out images only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.observer import Observer, Silent
from compress.prune import select_globally
from compress.share import assign, cluster

if TYPE_CHECKING:
    from torch import Tensor, nn

    Loader = Sequence[tuple[Tensor, Tensor]]

__all__ = ["SCANNED_BITS", "SCANNED_SPARSITIES", "Scan", "plot_scan", "scan"]

SCANNED_SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
SCANNED_BITS = (1, 2, 3, 4, 5, 6, 8)

_SILENT = Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a sensitivity scan found, in percent of the held-out images.

    Parameters
    ----------
    dense : float
        Of the network as it is.
    pruned : mapping of str to mapping of float to float
        Weight → sparsity of it alone → accuracy.
    shared : mapping of str to mapping of int to float
        Weight → bits of its codes alone → accuracy.
    """

    dense: float
    pruned: Mapping[str, Mapping[float, float]]
    shared: Mapping[str, Mapping[int, float]]


def scan(
    module: "nn.Module",
    weights: Sequence[str],
    held_out: "Loader",
    *,
    sparsities: Sequence[float] = SCANNED_SPARSITIES,
    bits: Sequence[int] = SCANNED_BITS,
    initialisation: str = "linear",
    observer: Observer = _SILENT,
) -> Scan:
    """Prune, and share, one layer at a time, by magnitude; the module is left as it was.

    Parameters
    ----------
    module : torch.nn.Module
    weights : sequence of str
        Parameters to try.
    held_out : sequence of (inputs, labels)
        Never the test set: what is found here is chosen by.
    sparsities, bits : sequence
    initialisation : str
        Of the shared weights' k-means.
    observer : Observer

    Returns
    -------
    Scan
    """
    import torch

    from compress.training import evaluate

    named = dict(module.named_parameters())
    total, done = len(weights) * (len(sparsities) + len(bits)), 0

    def measure(name: str, changed: NDArray[np.float32]) -> float:
        nonlocal done
        parameter = named[name]
        before = parameter.detach().clone()
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(changed))
            try:
                accuracy = evaluate(module, held_out)[1]
            finally:
                parameter.copy_(before)
        done += 1
        observer.progress("sensitivity", done, total)
        return accuracy

    pruned: dict[str, dict[float, float]] = {}
    shared: dict[str, dict[int, float]] = {}
    for name in weights:
        weight = named[name].detach().cpu().numpy().astype(np.float32)
        pruned[name] = {
            sparsity: measure(name, weight * select_globally({name: np.abs(weight)}, sparsity)[name])
            for sparsity in sparsities
        }
        shared[name] = {}
        for number in bits:
            centroids = cluster(weight.ravel(), 2**number, initialisation, np.random.default_rng(0))
            shared[name][number] = measure(name, centroids[assign(weight, centroids)])
    return Scan(dense=evaluate(module, held_out)[1], pruned=pruned, shared=shared)


def plot_scan(found: Scan, path: Path) -> None:
    """Accuracy against sparsity, a curve a layer."""
    from studies.plots import plot_curves

    plot_curves(
        path,
        "Accuracy on held-out images when one layer alone is pruned, without retraining",
        ("sparsity of the layer", "accuracy, %"),
        {name.removesuffix(".weight"): (list(values), list(values.values())) for name, values in found.pruned.items()},
    )
