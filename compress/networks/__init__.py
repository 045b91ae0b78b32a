"""The zoo: networks that a packed file names in a few bytes. None of this needs torch, except `build_module`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from compress.networks.layers import Network
from compress.networks.lenet_5 import lenet_5

__all__ = ["NETWORKS"]

NETWORKS: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {
        "lenet-5": lenet_5,
    }
)
"""Name of a network → the function that describes it."""
