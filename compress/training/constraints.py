"""What training must keep true of the weights: pruned ones stay zero, shared ones stay equal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Constraint", "Masks", "SharedWeights"]


class Constraint(Protocol):
    """What training must keep true of the weights."""

    def parameters(self) -> "list[Tensor]":
        """What the optimiser moves."""
        ...

    def before_step_(self) -> None:
        """Between the backward pass and the step: turn the module's gradients into those of `parameters`."""
        ...

    def after_step_(self) -> None:
        """After the step: write the weights back into the module."""
        ...


class Masks:
    """Pruned weights stay zero: their gradients are cut, and the mask is applied again after every step.

    Parameters
    ----------
    module : torch.nn.Module
    masks : mapping of str to bool tensor
        Name of a parameter → True where a weight stays. Parameters that are not named are free.
    """

    def __init__(self, module: "nn.Module", masks: "Mapping[str, Tensor]") -> None:
        self._parameters = list(module.parameters())
        named = dict(module.named_parameters())
        self._masked = [(named[name], mask.to(named[name].device)) for name, mask in masks.items()]
        self.after_step_()

    def parameters(self) -> "list[Tensor]":
        return list(self._parameters)

    def before_step_(self) -> None:
        for parameter, mask in self._masked:
            if parameter.grad is not None:
                parameter.grad.mul_(mask)

    def after_step_(self) -> None:
        for parameter, mask in self._masked:
            parameter.data.mul_(mask)


class SharedWeights:
    """Weights of one code move together: a centroid's gradient is the sum of its weights' gradients.

    Han, Mao, Dally: Deep Compression (2016), section 3.3, equation 3.

    Parameters
    ----------
    module : torch.nn.Module
    shared : mapping of str to (positions int64 [nnz], codes int64 [nnz], centroids float32 [k])
        Name of a parameter → row-major places of its surviving weights, their codes, the centroids to start from.
    """

    def __init__(self, module: "nn.Module", shared: "Mapping[str, tuple[Tensor, Tensor, Tensor]]") -> None:
        named = dict(module.named_parameters())
        self._free = [parameter for name, parameter in named.items() if name not in shared]
        self._shared = []
        for name, (positions, codes, centroids) in shared.items():
            device = named[name].device
            leaf = centroids.detach().clone().to(device).requires_grad_()
            self._shared.append((name, named[name], positions.to(device), codes.to(device), leaf))
        self.after_step_()

    def parameters(self) -> "list[Tensor]":
        return [*self._free, *(centroids for *_, centroids in self._shared)]

    def centroids(self) -> "dict[str, Tensor]":
        """The centroids as they are now, by parameter: float32 [k], not sorted."""
        return {name: centroids.detach().clone() for name, *_, centroids in self._shared}

    def before_step_(self) -> None:
        import torch

        for _, parameter, positions, codes, centroids in self._shared:
            if parameter.grad is not None:
                gradients = parameter.grad.flatten()[positions]
                centroids.grad = torch.zeros_like(centroids).index_add_(0, codes, gradients)
                parameter.grad = None

    def after_step_(self) -> None:
        import torch

        with torch.no_grad():
            for _, parameter, positions, codes, centroids in self._shared:
                flat = torch.zeros(parameter.numel(), dtype=parameter.dtype, device=parameter.device)
                flat[positions] = centroids[codes].to(parameter.dtype)
                parameter.copy_(flat.view_as(parameter))
