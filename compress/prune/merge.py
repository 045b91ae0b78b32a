"""Neuron merging by distinctiveness: of the neurons of one layer, the two most alike become one.

Gedeon, Harris: Network reduction techniques (1991), section 3: the vectors of two neurons' activations over the
training patterns are compared by their angle; of two that are alike one goes, and its weights are added to the other's.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from compress.errors import UsageError
from compress.names import known_name
from compress.networks.layers import Activation, BatchNorm, Linear, Network
from compress.prune.structure import remove_filters

__all__ = ["merge_neurons", "merge_point", "most_similar"]


def most_similar(gram: NDArray[np.float64]) -> tuple[int, int, float]:
    """The two neurons whose activation vectors have the largest cosine.

    Parameters
    ----------
    gram : float64 [neurons, neurons]
        Inner products of the activation vectors over all examples. At least two neurons; one that is always zero is
        taken to be like any other, as nothing is lost with it.

    Returns
    -------
    first, second : int
        first < second; of equal pairs the one that stands first.
    cosine : float

    Examples
    --------
    >>> activations = np.array([[1.0, 0.0, 2.0], [1.0, 1.0, 2.1]])
    >>> first, second, cosine = most_similar(activations.T @ activations)
    >>> first, second, round(cosine, 3)
    (0, 2, 1.0)
    """
    norms = np.sqrt(np.diag(gram))
    scale = norms[:, None] * norms
    cosines = np.where(scale > 0, gram / np.where(scale > 0, scale, 1), 1.0)
    cosines[np.tril_indices(len(gram))] = -np.inf
    first, second = np.unravel_index(int(np.argmax(cosines)), cosines.shape)
    return int(first), int(second), float(cosines[first, second])


def merge_neurons(
    network: Network, weights: Mapping[str, NDArray[np.float32]], layer: str, stays: int, goes: int
) -> tuple[Network, dict[str, NDArray[np.float32]]]:
    """Add one neuron's weights, bias and outgoing weights to another's, and take it out of the network.

    Parameters
    ----------
    network : Network
    weights : mapping of str to float32
        Every parameter of `network`.
    layer : str
        A linear layer that another linear layer follows.
    stays, goes : int
        Two of its neurons.

    Returns
    -------
    Network, dict of str to float32
        The network with one neuron less, and its weights.
    """
    linear = [part for part in network.layers if isinstance(part, Linear)]
    number = next(i for i, part in enumerate(linear) if part.name == layer)
    changed = dict(weights)
    for name in (f"{layer}.weight", f"{layer}.bias"):
        if name in changed:
            changed[name] = weights[name].copy()
            changed[name][stays] += weights[name][goes]
    following = f"{linear[number + 1].name}.weight"
    changed[following] = weights[following].copy()
    changed[following][:, stays] += weights[following][:, goes]
    kept = np.arange(linear[number].out_features) != goes
    return remove_filters(network, changed, {layer: kept})


def merge_point(network: Network, layer: str, count: int = 1) -> str:
    """The part of a network whose outputs are the activations of a layer's neurons.

    Raises
    ------
    UsageError
        The layer is not one that neurons can be merged in, or has no more than `count` of them.
    """
    linear = [part.name for part in network.layers if isinstance(part, Linear)]
    known_name("merge-layer", layer, linear[:-1])
    place = [part.name for part in network.layers].index(layer)
    found = network.layers[place]
    if isinstance(found, Linear) and found.out_features <= count:
        raise UsageError(
            f"merge-neurons: found {count} of the {found.out_features} neurons of {layer}, allowed fewer than all"
        )
    while isinstance(network.layers[place + 1], Activation | BatchNorm):
        place += 1
    return network.layers[place].name
