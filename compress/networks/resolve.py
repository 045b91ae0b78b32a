"""Any network a user can name: one of the zoo, one of torchvision's, or a module that he builds himself.

torch and torchvision are imported where a network is built, not before.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UsageError, first_line
from compress.graph import Graph, graph_of_module, graph_of_zoo
from compress.names import known_name
from compress.networks.layers import Network
from compress.networks.module import build_module, evaluating
from compress.networks.zoo import NETWORKS, describe
from compress.spelling import defaults_of, parse, spell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["ResolvedNetwork", "canonical_name", "resolve"]

_TORCHVISION = "torchvision"
_OWN = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)", re.ASCII)
_MODEL = re.compile(r"torchvision:([a-z0-9_]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ResolvedNetwork:
    """A network with everything fixed that its data decides.

    Parameters
    ----------
    name : str
        One form for the same network: a spelling of the zoo (`zoo.describe`), `torchvision:model`, `module:callable`.
    input_shape : (channels, height, width)
    classes : int
    network : Network or None
        The layers, where it is one of the zoo.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    network: Network | None = None
    _build: "Callable[[], nn.Module] | None" = field(default=None, repr=False)

    def build(self) -> "nn.Module":
        """A new module, with weights drawn from torch's global generator, float32, in training mode.

        Raises
        ------
        UsageError
            A user's own callable fails or gives no module, or the module does not map inputs to logits.
        """
        if self.network is not None:
            return build_module(self.network)
        assert self._build is not None
        module = self._build()
        _check_module(self, module)
        return module

    def graph(self, module: "nn.Module") -> Graph:
        """The graph without weights: from the layers, or traced from `module`, which is one that `build` gave.

        Raises
        ------
        UnsupportedError
            The module cannot be traced.
        """
        if self.network is not None:
            return graph_of_zoo(self.name)
        import torch

        device = next(module.parameters()).device
        return graph_of_module(module, torch.zeros(1, *self.input_shape, device=device))

    def fixed_masks(self) -> Mapping[str, NDArray[np.bool_]]:
        """Name of a weight → False where it is always zero and no part of the network; see `Network.fixed_masks`."""
        return self.network.fixed_masks() if self.network is not None else {}


def canonical_name(name: str) -> str:
    """The one form of a network's name, checked as far as that goes without importing anything.

    >>> canonical_name("lenet-5(pool=max,activation=tanh)")
    'lenet-5(activation=tanh)'

    Raises
    ------
    UsageError
        No network of the zoo has that spelling, and it is neither `torchvision:model` nor `module:callable`.
    """
    if ":" not in name:
        return describe(name).name
    if (_MODEL if name.startswith(f"{_TORCHVISION}:") else _OWN).fullmatch(name) is None:
        raise UsageError(
            f"network: found {name!r}, allowed {', '.join(NETWORKS)}, torchvision:model, or module:callable"
        )
    return name


def resolve(
    name: str, *, classes: int | None = None, channels: int | None = None, size: int | None = None
) -> ResolvedNetwork:
    """Find a network and fit it to its data.

    Parameters
    ----------
    name : str
        `lenet-5`, `lenet-5(activation=tanh)`, `torchvision:resnet18`, or `mymodule:build`: a callable of a module in
        the current directory (or any that Python finds) that returns a `torch.nn.Module`; it is given `classes` and
        `channels` if it has parameters of these names.
    classes, channels, size : int, optional
        Of the data; `size` is the height and width of its images. A network of the zoo takes them as options of the
        same name, unless its spelling gives these itself; an input larger than the images stays, for the images are
        padded. Where they are left out, the zoo's defaults hold, and 10 classes of 3 × 32 × 32 elsewhere.

    Returns
    -------
    ResolvedNetwork

    Raises
    ------
    UsageError
        An unknown network or option, a spelling that contradicts the data, a module that cannot be imported, or a
        callable that is not there.
    """
    name = canonical_name(name)
    if ":" not in name:
        return _from_zoo(name, {"classes": classes, "channels": channels, "size": size})
    classes, channels, size = classes or 10, channels or 3, size or 32
    if name.startswith(f"{_TORCHVISION}:"):
        build, shape = _torchvision_builder(name, classes), (3, size, size)
        if channels not in (1, 3):
            raise UsageError(f"network {name}: found data of {channels} channels, allowed 1 or 3")
    else:
        build, shape = _own_builder(name, classes, channels), (channels, size, size)
    return ResolvedNetwork(name, shape, classes, _build=build)


def _from_zoo(name: str, data: Mapping[str, int | None]) -> ResolvedNetwork:
    family, options = parse("network", name, NETWORKS)
    defaults = defaults_of(NETWORKS[family])
    for key, found in data.items():
        if found is None or key not in defaults:
            continue
        if key == "size":
            options.setdefault(key, max(found, defaults[key]))
        elif options.setdefault(key, found) != found:
            raise UsageError(f"network {name}: found {key}={options[key]}, allowed {found}, as the data has")
    network = describe(spell(family, options, NETWORKS))
    channels, height, width = network.input_shape
    classes = options.get("classes", defaults["classes"])
    return ResolvedNetwork(network.name, (channels, height, width), classes, network)


def _torchvision_builder(name: str, classes: int) -> "Callable[[], nn.Module]":
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # a build for another torch fails with RuntimeError
        raise UsageError(f"network {name}: torchvision cannot be imported ({first_line(error)})") from error
    model = known_name(f"network {_TORCHVISION}", name.partition(":")[2], models.list_models(module=models))
    return lambda: models.get_model(model, weights=None, num_classes=classes)


def _own_builder(name: str, classes: int, channels: int) -> "Callable[[], nn.Module]":
    path, _, attribute = name.partition(":")
    try:
        with _importing_from(Path.cwd()):
            module = importlib.import_module(path)
    except Exception as error:  # whatever a user's own file raises while it is imported
        raise UsageError(f"network {name}: {path} cannot be imported ({first_line(error)})") from error
    names = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
    if not callable(getattr(module, attribute, None)):
        known_name(f"network {name}, callable of {path}", attribute, names)
    build: Callable[..., Any] = getattr(module, attribute)
    given = {"classes": classes, "channels": channels}
    accepted = set(inspect.signature(build).parameters)

    def call() -> Any:
        try:
            return build(**{key: value for key, value in given.items() if key in accepted})
        except Exception as error:  # whatever a user's own code raises while it is called
            raise UsageError(f"network {name}: the callable fails ({first_line(error)})") from error

    return call


def _check_module(resolved: ResolvedNetwork, module: object) -> None:
    """Raise `UsageError` unless two inputs give two rows of logits."""
    import torch
    from torch import nn

    if not isinstance(module, nn.Module):
        raise UsageError(f"network {resolved.name}: found a {type(module).__name__}, allowed a torch.nn.Module")
    parameter = next(module.parameters(), None)
    if parameter is None:
        raise UsageError(f"network {resolved.name}: found a module without parameters, allowed one that can be trained")
    expected = (2, resolved.classes)
    try:
        with evaluating(module), torch.no_grad():
            logits = module(torch.zeros(2, *resolved.input_shape, device=parameter.device))
        found = tuple(logits.shape)
    except Exception as error:  # whatever a foreign module raises on an input it was not made for
        shape = "×".join(map(str, resolved.input_shape))
        raise UsageError(f"network {resolved.name}: fails on inputs of {shape} ({first_line(error)})") from error
    if found != expected:
        raise UsageError(
            f"network {resolved.name}: found an output of shape {found} for two inputs, allowed {expected}, logits"
        )


@contextmanager
def _importing_from(directory: Path) -> "Iterator[None]":
    """Look in `directory` first while importing, and leave the path as it was."""
    before = list(sys.path)
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path[:] = before
