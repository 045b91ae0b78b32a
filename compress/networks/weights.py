"""Between a torch module and arrays: its weights read, checked and written, which of them are coded, its device."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError, UsageError, WeightsError
from compress.graph import Graph

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["check_weights", "choose_device", "coded_parameters", "load_weights_", "weights_of"]


def choose_device(name: str) -> "torch.device":
    """`auto` (a GPU where there is one), `cpu` or `cuda`.

    Raises
    ------
    UsageError
        Another name, or `cuda` on a machine without.
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device: found {name!r}, allowed auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: found 'cuda', but torch sees no CUDA device; allowed here: auto, cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def weights_of(module: "nn.Module", graph: Graph) -> dict[str, NDArray[np.float32]]:
    """Every parameter of `graph` from the module's state, float32, checked to be finite.

    Raises
    ------
    WeightsError
        A value is NaN or infinite: which parameter, which index.
    """
    state = module.state_dict()
    weights = {name: state[name].detach().cpu().numpy().astype(np.float32) for name in graph.parameters}
    for name, array in weights.items():
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            raise WeightsError(f"{name}: found {array[index]} at index {list(index)}, allowed finite weights")
    return weights


def check_weights(
    weights: Mapping[str, NDArray[np.float32]], parameters: Mapping[str, tuple[int, ...]], source: str
) -> None:
    """Raise `WeightsError` unless weights are exactly a network's parameters.

    Parameters
    ----------
    weights : mapping of str to float32
    parameters : mapping of str to tuple of int
        Name → shape.
    source : str
        Names the weights in the error: which parameter is missing, unknown or of another shape.
    """
    known = ", ".join(parameters)
    for name, shape in parameters.items():
        if name not in weights:
            raise WeightsError(f"{source}: found no {name}, allowed a checkpoint of this network: {known}")
        if weights[name].shape != shape:
            raise WeightsError(f"{source}: found {name} of shape {weights[name].shape}, allowed {shape}")
    for name in weights:
        if name not in parameters:
            raise WeightsError(f"{source}: found {name}, allowed only what this network has: {known}")


def load_weights_(
    module: "nn.Module", weights: Mapping[str, NDArray[np.float32]], parameters: Mapping[str, tuple[int, ...]]
) -> None:
    """Write weights into a module; what it has beside its graph's parameters acts on no output, and stays as it is.

    Parameters
    ----------
    module : torch.nn.Module
    weights : mapping of str to float32
        Exactly the parameters of the module's graph.
    parameters : mapping of str to tuple of int
        Of that graph: name → shape.

    Raises
    ------
    WeightsError
        The weights are not those of the graph, or the module has no such parameter.
    """
    import torch

    check_weights(weights, parameters, "weights")
    # Not strict: a module may count batches, or hold layers that its graph does not reach. What is too much is refused.
    found = module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()}, False)
    if found.unexpected_keys:
        raise WeightsError(
            f"weights: found {found.unexpected_keys[0]}, allowed only what the module has: "
            f"{', '.join(module.state_dict())}"
        )


def coded_parameters(module: "nn.Module", graph: Graph) -> tuple[str, ...]:
    """The parameters that are pruned and coded, in the graph's order: the weights of linear and convolution layers.

    Raises
    ------
    UnsupportedError
        There is none.
    """
    from torch import nn

    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    found = {f"{name}.weight".removeprefix(".") for name, layer in module.named_modules() if isinstance(layer, layers)}
    coded = tuple(name for name in graph.parameters if name in found)
    if not coded:
        raise UnsupportedError(f"{type(module).__name__}: found no linear or convolution layer, allowed at least one")
    return coded
