"""Taking channels out of any torch module: those of several layers that a residual sum, say, ties leave together.

torch-pruning traces which layers depend on which. Fang, Ma, Song, Mi, Wang: DepGraph: towards any structural pruning
(2023), section 3.2. Ours ranks the channels of all groups by the mean of the criterion over the layers of a group, and
keeps to groups whose pruned channels are exactly zero, so that removing them changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError, first_line
from compress.networks.module import evaluating
from compress.output_error import worst_error

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ChannelGroup", "channel_masks", "find_channels", "remove_channels_", "score_channels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """Channels that can only leave from several layers together.

    Parameters
    ----------
    name : str
        The first of its weights that are pruned and coded.
    root : str
        The layer in whose order its channels are counted.
    size : int
        Number of channels.
    weights : tuple of str
        Its weights that are pruned and coded: what the channels come out of.
    members : mapping of str to (rows int64 [n], channels int64 [n])
        Parameter (weight, bias, scale or shift) → its rows that belong to a channel, and which.
    """

    name: str
    root: str
    size: int
    weights: tuple[str, ...]
    members: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]


def find_channels(module: "nn.Module", example: "Tensor", coded: Sequence[str]) -> tuple[ChannelGroup, ...]:
    """Find the groups of channels that can be taken out, in the order of `coded`.

    Left out are groups of the outputs, and those with anything but convolutions, linear layers and batch norm with a
    scale, joined by concatenation, flattening and what works element by element.

    Parameters
    ----------
    module : torch.nn.Module
    example : tensor [batch, ...]
        Inputs.
    coded : sequence of str
        The weights of linear and convolution layers.

    Raises
    ------
    UnsupportedError
        torch-pruning is not installed or cannot trace the module, or no channel can go.
    """
    dependencies = _trace(module, example)
    names = {part: name for name, part in module.named_modules()}
    groups = []
    for found in dependencies.get_all_groups():
        members: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        if not all(_can_shrink(dependency.target) for dependency, _ in found):
            continue
        outgoing = [item for item in found if dependencies.is_out_channel_pruning_fn(item.dep.handler)]
        if any(not item.dep.target.outputs for item in outgoing):
            continue
        for item in outgoing:
            layer = item.dep.target.module
            for part in ("weight", "bias"):
                if layer in names and getattr(layer, part, None) is not None:
                    members[f"{names[layer]}.{part}".removeprefix(".")] = (
                        np.array(item.idxs, np.int64),
                        np.array(item.root_idxs, np.int64),
                    )
        weights = tuple(name for name in coded if name in members)
        if weights:
            root = names[found[0].dep.target.module]
            size = len(found[0].idxs)
            groups.append(ChannelGroup(name=weights[0], root=root, size=size, weights=weights, members=members))
    if not groups:
        raise UnsupportedError(
            f"{type(module).__name__}: found no channels that can be removed, allowed filter-l1, filter-l2, which mask "
            "filters and leave the network as it is"
        )
    return tuple(sorted(groups, key=lambda group: coded.index(group.name)))


def score_channels(
    groups: Sequence[ChannelGroup], score: Callable[[str], NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Name of a group → the mean score of every channel's filters: float32 [channels].

    Parameters
    ----------
    groups : sequence of ChannelGroup
    score : callable
        From the name of a weight to the scores of its filters: float32 [rows].
    """
    scores = {}
    for group in groups:
        sums, counts = np.zeros(group.size), np.zeros(group.size)
        for name in group.weights:
            rows, channels = group.members[name]
            np.add.at(sums, channels, score(name)[rows])
            np.add.at(counts, channels, 1)
        scores[group.name] = np.asarray(sums / np.maximum(counts, 1), np.float32)
    return scores


def channel_masks(
    groups: Sequence[ChannelGroup], kept: Mapping[str, NDArray[np.bool_]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.bool_]]:
    """Masks under which pruned channels give zero.

    Parameters
    ----------
    groups : sequence of ChannelGroup
    kept : mapping of str to bool [channels]
        Name of a group → which of its channels stay.
    shapes : mapping of str to tuple of int
        Of every parameter that the graph has.

    Returns
    -------
    dict of str to bool
        For every parameter of a group, of its shape.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    for group in groups:
        for name, (rows, channels) in group.members.items():
            if name in shapes:
                mask = masks.setdefault(name, np.ones(shapes[name], np.bool_))
                mask[rows[~kept[group.name][channels]]] = False
    return masks


def remove_channels_(
    module: "nn.Module",
    example: "Tensor",
    groups: Sequence[ChannelGroup],
    kept: Mapping[str, NDArray[np.bool_]],
) -> float:
    """Take channels out of a module, and out of all layers that read them.

    Parameters
    ----------
    module : torch.nn.Module
        Its pruned channels give zero, see `channel_masks`.
    example : tensor [batch, ...]
        Inputs.
    groups : sequence of ChannelGroup
        What `find_channels` gave for this module.
    kept : mapping of str to bool [channels]
        Name of a group → which of its channels stay, at least one.

    Returns
    -------
    float
        The largest change of an output on the example, over the largest output. About zero, unless the module makes
        something else of a zero, as a sigmoid does.

    Raises
    ------
    UnsupportedError
        The smaller module does not run, or has outputs of another shape.
    """
    before = _outputs(module, example)
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    dependencies = _trace(module, example)
    try:
        for group in groups:
            layer = module.get_submodule(group.root)
            gone = np.flatnonzero(~kept[group.name]).tolist()
            if gone:
                prune = dependencies.get_pruner_of_module(layer).prune_out_channels
                dependencies.get_pruning_group(layer, prune, gone).prune()
        for name in frozen:
            module.get_parameter(name).requires_grad_(False)
        after = _outputs(module, example)
    except Exception as error:  # whatever a foreign module raises when its layers have shrunk
        raise UnsupportedError(
            f"{type(module).__name__}: does not run without its pruned channels ({first_line(error)}), allowed "
            "filter-l1, filter-l2, which mask filters and leave the network as it is"
        ) from error
    if after.shape != before.shape:
        raise UnsupportedError(
            f"{type(module).__name__}: found outputs of shape {after.shape} without its pruned channels, "
            f"allowed {before.shape}"
        )
    return worst_error(before, after)


def _trace(module: "nn.Module", example: "Tensor") -> Any:
    import torch

    try:
        from torch_pruning import DependencyGraph
    except ImportError as error:
        raise UnsupportedError(
            "removing channels of a network that is not of the zoo needs torch-pruning, found none; allowed after "
            "pip install torch-pruning, or with filter-l1, filter-l2, which mask filters"
        ) from error
    try:
        with evaluating(module), torch.enable_grad():
            traced = 1 * example.detach().requires_grad_()  # so that layers whose weights are frozen are seen too
            return DependencyGraph().build_dependency(module, (traced,), verbose=False)
    except Exception as error:  # whatever torch-pruning raises for a module that it does not understand
        raise UnsupportedError(
            f"{type(module).__name__}: torch-pruning cannot trace it ({first_line(error)}), allowed filter-l1, "
            "filter-l2, which mask filters and leave the network as it is"
        ) from error


def _can_shrink(node: Any) -> bool:
    from torch import nn
    from torch_pruning.ops import OPTYPE

    layer = node.module
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return layer.groups == 1 or layer.groups == layer.in_channels == layer.out_channels
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return layer.affine
    return isinstance(layer, nn.Linear) or node.type in (OPTYPE.ELEMENTWISE, OPTYPE.CONCAT, OPTYPE.RESHAPE)


def _outputs(module: "nn.Module", example: "Tensor") -> NDArray[np.float32]:
    import torch

    with evaluating(module), torch.no_grad():
        outputs: NDArray[np.float32] = module(example).cpu().numpy()
    return outputs
