"""How much accuracy each layer loses when it alone is pruned, or alone is shared in fewer bits, without retraining.

Han, Pool, Tran, Dally (2015), figure 6. Measured on held-out images only.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.observer import Observer, Silent
from compress.prune.selection import select_globally
from compress.share.k_means import assign, cluster

if TYPE_CHECKING:
    from torch import Tensor, nn

    Loader = Iterable[tuple[Tensor, Tensor]]

__all__ = ["SCANNED_BITS", "SCANNED_SPARSITIES", "LayerScan", "Scan", "scan"]

SCANNED_SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Closer where layers collapse: most bear a half, few 0.98."""

SCANNED_BITS = (1, 2, 3, 4, 5, 6, 8)
"""All that a code may have, but 7, which tells nothing between 6 and 8."""

_SILENT = Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScan:
    """What changing one layer alone does, in percent of the held-out images.

    Parameters
    ----------
    weights : int
        That the layer has.
    pruned : mapping of float to float
        Its sparsity → accuracy.
    shared : mapping of int to float
        Bits of its codes → accuracy.
    """

    weights: int
    pruned: Mapping[float, float]
    shared: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a sensitivity scan found.

    Parameters
    ----------
    dense : float
        Accuracy of the network as it is, in percent of the held-out images.
    layers : mapping of str to LayerScan
        By the name of the layer's weight.
    """

    dense: float
    layers: Mapping[str, LayerScan]


def scan(
    module: "nn.Module",
    weights: Sequence[str],
    held_out: "Loader",
    *,
    sparsities: Sequence[float] = SCANNED_SPARSITIES,
    bits: Sequence[int] = SCANNED_BITS,
    initialisation: str = "linear",
    present: Mapping[str, NDArray[np.bool_]] | None = None,
    known: Mapping[str, LayerScan] | None = None,
    keep: Callable[[str, LayerScan], None] | None = None,
    observer: Observer = _SILENT,
) -> Scan:
    """Prune, and share, one layer at a time, by magnitude; the module is left as it was.

    Parameters
    ----------
    module : torch.nn.Module
    weights : sequence of str
        Parameters to try.
    held_out : iterable of (inputs, labels)
        Never the test set: what is found here is chosen by. Passed over once a measurement.
    sparsities, bits : sequence
    initialisation : str
        Of the shared weights' k-means.
    present : mapping of str to bool, optional
        Parameter → False where the network fixes a weight at zero: it is neither pruned nor shared.
    known : mapping of str to LayerScan, optional
        Layers that were scanned before, and are not again.
    keep : callable, optional
        Called with every layer that is done.
    observer : Observer

    Returns
    -------
    Scan
    """
    import torch

    from compress.training.epochs import evaluate

    named, known = dict(module.named_parameters()), known or {}
    total = len(weights) * (len(sparsities) + len(bits))
    done = sum(name in known for name in weights) * (len(sparsities) + len(bits))
    dense = evaluate(module, held_out)[1]

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

    layers: dict[str, LayerScan] = {}
    for name in weights:
        if name in known:
            layers[name] = known[name]
            continue
        weight = named[name].detach().cpu().numpy().astype(np.float32)
        where = (present or {}).get(name, np.ones(weight.shape, np.bool_))
        layers[name] = LayerScan(
            weights=int(np.count_nonzero(where)),
            pruned={value: measure(name, _pruned(weight, where, value)) for value in sparsities},
            shared={value: measure(name, _shared(weight, where, value, initialisation)) for value in bits},
        )
        if keep is not None:
            keep(name, layers[name])
    return Scan(dense=dense, layers=layers)


def _pruned(weight: NDArray[np.float32], where: NDArray[np.bool_], sparsity: float) -> NDArray[np.float32]:
    changed = np.zeros_like(weight)
    values = weight[where]
    changed[where] = values * select_globally({"": np.abs(values)}, sparsity)[""]
    return changed


def _shared(
    weight: NDArray[np.float32], where: NDArray[np.bool_], bits: int, initialisation: str
) -> NDArray[np.float32]:
    changed = np.zeros_like(weight)
    values = weight[where]
    centroids = cluster(values, 2**bits, initialisation, np.random.default_rng(0))
    changed[where] = centroids[assign(values, centroids)]
    return changed
