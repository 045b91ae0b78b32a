"""What a pruning criterion is, and what it may look at to give its scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Context", "Criterion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The network as a criterion sees it.

    Parameters
    ----------
    weights : mapping of str to float32
        The weights of its coded layers, from input to output; zero where pruned.
    gradients : callable
        Computes, when it is first called, the gradient of the mean training loss by every one of these weights.
    generator : numpy.random.Generator
    """

    weights: Mapping[str, NDArray[np.float32]]
    gradients: Callable[[], Mapping[str, NDArray[np.float32]]]
    generator: np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One way to say what goes first.

    Parameters
    ----------
    summary : str
        One line.
    score : callable
        From the context and the name of a weight to finite float32 scores, the highest stay: of the weight's shape
        where the unit is a weight, [rows] where it is a filter.
    unit : str
        What is kept or pruned as one: a weight, or a filter (a row of the matrix view: a convolution's output channel
        or a neuron with all its incoming weights). The last layer's filters are the classes, and are never pruned.
    removes : bool
        Pruned filters leave the network: it shrinks, and what reads them with it.
    """

    summary: str
    score: Callable[[Context, str], NDArray[np.float32]]
    unit: Literal["weight", "filter"] = "weight"
    removes: bool = False
