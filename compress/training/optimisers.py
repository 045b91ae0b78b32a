"""How a training step is taken, and how the learning rate falls: the choices of a recipe."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Build = Callable[[list[Tensor], float, float, float], torch.optim.Optimizer]

__all__ = ["ANNEALINGS", "OPTIMISERS", "learning_rate_factor"]

_SECOND_BETA = 0.999
"""Of Adam: Kingma, Ba (2015), algorithm 1, and torch's default."""

_WARM_UP = 0.1
"""Fraction of a fit over which the learning rate rises from zero, where it warms up: fresh weights diverge
at rates that they bear later."""


def _nesterov(
    parameters: "list[Tensor]", learning_rate: float, momentum: float, weight_decay: float
) -> "torch.optim.Optimizer":
    import torch

    return torch.optim.SGD(
        parameters, lr=learning_rate, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay
    )


def _sgd(
    parameters: "list[Tensor]", learning_rate: float, momentum: float, weight_decay: float
) -> "torch.optim.Optimizer":
    import torch

    return torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum, weight_decay=weight_decay)


def _adam(
    parameters: "list[Tensor]", learning_rate: float, momentum: float, weight_decay: float
) -> "torch.optim.Optimizer":
    import torch

    return torch.optim.Adam(parameters, lr=learning_rate, betas=(momentum, _SECOND_BETA), weight_decay=weight_decay)


OPTIMISERS: "Mapping[str, Build]" = MappingProxyType(
    {
        "nesterov": _nesterov,
        "sgd": _sgd,
        "adam": _adam,
    }
)
"""Name of an optimiser → the function from tensors, learning rate, momentum (Adam: the first beta) and L2 penalty."""


def _cosine(done: float, total: float, decay: float) -> float:
    return 0.5 + 0.5 * math.cos(math.pi * (done + 0.5) / total)


def _constant(done: float, total: float, decay: float) -> float:
    return 1.0


def _inverse_time(done: float, total: float, decay: float) -> float:
    return 1.0 / (1.0 + decay * done)


ANNEALINGS: Mapping[str, Callable[[float, float, float], float]] = MappingProxyType(
    {
        "cosine": _cosine,
        "constant": _constant,
        "inverse-time": _inverse_time,
    }
)
"""Name of a way down → the factor on the highest learning rate after `done` of `total` steps; `decay` is per step."""


def learning_rate_factor(annealing: str, decay: float = 0.0, *, warm_up: bool = False) -> Callable[[int, int], float]:
    """The function from a step (counted from zero) and the number of steps to the factor on the learning rate.

    Parameters
    ----------
    annealing : str
        Key in ANNEALINGS.
    decay : float
        Of `inverse-time`, per step.
    warm_up : bool
        Rise in a line from zero over the first tenth of the steps, and go down over the rest.

    Examples
    --------
    >>> factor = learning_rate_factor("cosine")
    >>> [round(factor(step, 3), 3) for step in range(3)]
    [0.933, 0.5, 0.067]
    """
    down = ANNEALINGS[annealing]

    def factor(step: int, total: int) -> float:
        rise = _WARM_UP * total if warm_up else 0.0
        if step + 0.5 < rise:
            return (step + 0.5) / rise
        return down(step - rise, total - rise, decay)

    return factor
