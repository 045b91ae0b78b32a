"""The zoo: networks that a packed file names in a few bytes. None of this needs torch, except where one is built.

`resolve` gives any network that a user can name, his own among them.
"""

from compress.networks.layers import Network
from compress.networks.zoo import NETWORKS, describe

__all__ = ["NETWORKS", "Network", "describe"]
