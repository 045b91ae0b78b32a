"""A torch module with its graph: what the stages of a compression hand on to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.graph import Graph, graph_of_network
from compress.networks import Network, describe
from compress.networks.module import build_module
from compress.networks.weights import coded_parameters, load_weights_, weights_of

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TracedModule", "rebuilt", "trace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedModule:
    """A module, and what is known of it.

    Parameters
    ----------
    module : torch.nn.Module
    graph : Graph
        Of the module.
    network : Network or None
        Its description, where it is a chain of our layers.
    coded : tuple of str
        The weights that are pruned and coded, in the graph's order.
    """

    module: "nn.Module"
    graph: Graph
    network: Network | None
    coded: tuple[str, ...]

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Every parameter of the graph, as it is now; raises `WeightsError` where a value is not finite."""
        return weights_of(self.module, self.graph)

    def present(self) -> dict[str, NDArray[np.bool_]]:
        """Masks of the coded weights that the network has: all but those that its description fixes at zero."""
        fixed = self.network.fixed_masks() if self.network else {}
        return {name: fixed.get(name, np.ones(self.graph.parameters[name], np.bool_)) for name in self.coded}


def trace(module: "nn.Module", graph: Graph) -> TracedModule:
    """A module with its graph.

    Raises
    ------
    UnsupportedError
        It has no linear or convolution layer.
    """
    network = describe(graph.zoo) if graph.zoo is not None else None
    return TracedModule(module=module, graph=graph, network=network, coded=coded_parameters(module, graph))


def rebuilt(old: TracedModule, network: Network, weights: Mapping[str, NDArray[np.float32]]) -> TracedModule:
    """Another network with weights of its own, on the old one's device."""
    graph = graph_of_network(network)
    module = build_module(network).to(next(old.module.parameters()).device)
    load_weights_(module, weights, graph.parameters)
    return TracedModule(module=module, graph=graph, network=network, coded=old.coded)
