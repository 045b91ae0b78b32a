"""The zoo's one registry, and the spelling under which recipes and packed files name a network of it.

A spelling is the family's name, with the options that differ from their defaults
in brackets, sorted: `lenet-5`, `lenet-5(activation=tanh,pool=average)`. See
`compress.spelling`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from compress.errors import UsageError
from compress.networks.layers import Network
from compress.networks.lenet_5 import lenet_5
from compress.networks.lenet_5_caffe import lenet_5_caffe
from compress.networks.lenet_300_100 import lenet_300_100
from compress.networks.vgg_lite import vgg_lite
from compress.spelling import parse, spell

__all__ = ["NETWORKS", "describe"]

NETWORKS: Mapping[str, Callable[..., Network]] = MappingProxyType(
    {
        "lenet-5": lenet_5,
        "lenet-5-caffe": lenet_5_caffe,
        "lenet-300-100": lenet_300_100,
        "vgg-lite": vgg_lite,
    }
)
"""Family → the function that describes it; its keywords, all with a default, are the options of the spelling."""


@lru_cache(maxsize=64)
def describe(spelling: str) -> Network:
    """The network of a spelling; its name is the spelling in its one form.

    >>> describe("lenet-5(pool=average,classes=10,activation=tanh)").name
    'lenet-5(activation=tanh,pool=average)'

    Raises
    ------
    UsageError
        An unknown family, option or value, or options that do not go together.
    """
    family, options = parse("network", spelling, NETWORKS)
    for option, value in options.items():
        if isinstance(value, int) and not isinstance(value, bool) and value < 1:
            raise UsageError(f"network: {family}, {option}: found {value}, allowed at least 1")
    return replace(NETWORKS[family](**options), name=spell(family, options, NETWORKS))
