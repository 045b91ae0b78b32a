"""Taking whole filters out of a chain of layers: the network itself shrinks, and all that reads them with it."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compress.networks.layers import BatchNorm, Conv2d, Layer, Linear, Network

__all__ = ["filter_masks", "remove_filters"]

_PER_FEATURE = ("weight", "bias", "running_mean", "running_var")


def filter_masks(network: Network, kept: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    """Masks under which pruned filters give zero, and so could as well not be there.

    Parameters
    ----------
    network : Network
    kept : mapping of str to bool [filters]
        Name of a layer → which of its filters stay.

    Returns
    -------
    dict of str to bool
        For every parameter that makes up such a filter: its weights, its bias, and scale and shift of the batch
        norm behind it.
    """
    shapes = network.parameters()
    masks, current = {}, None
    for layer in network.layers:
        if isinstance(layer, Conv2d | Linear):
            current = kept.get(layer.name)
            parts: tuple[str, ...] = ("weight", "bias")
        elif isinstance(layer, BatchNorm):
            parts = ("weight", "bias")
        else:
            continue
        for part in parts:
            shape = shapes.get(f"{layer.name}.{part}")
            if current is not None and shape is not None:
                rows = current.reshape(-1, *[1] * (len(shape) - 1))
                masks[f"{layer.name}.{part}"] = np.broadcast_to(rows, shape).copy()
    return masks


def remove_filters(
    network: Network, weights: Mapping[str, NDArray[np.float32]], kept: Mapping[str, NDArray[np.bool_]]
) -> tuple[Network, dict[str, NDArray[np.float32]]]:
    """Describe the network without some filters, and pick its weights out of the old ones.

    Where the filters that go gave zero (see `filter_masks`), both networks compute the same.

    Parameters
    ----------
    network : Network
    weights : mapping of str to float32
        Every parameter of `network`.
    kept : mapping of str to bool [filters]
        Name of a layer → which of its filters stay; at least one, and all of the last layer. A layer that is not
        named keeps all.

    Returns
    -------
    Network, dict of str to float32
    """
    layers: list[Layer] = []
    found: dict[str, NDArray[np.float32]] = {}
    inputs: NDArray[np.bool_] | None = None
    for layer in network.layers:
        if isinstance(layer, Conv2d | Linear):
            before = _inputs_of(layer, inputs)
            after = kept.get(layer.name, np.ones(_outputs(layer), np.bool_))
            weight = weights[f"{layer.name}.weight"]
            found[f"{layer.name}.weight"] = weight[after][:, before]
            if layer.bias:
                found[f"{layer.name}.bias"] = weights[f"{layer.name}.bias"][after]
            layers.append(_resized(layer, before, after))
            inputs = after
        elif isinstance(layer, BatchNorm) and inputs is not None:
            for part in _PER_FEATURE:
                found[f"{layer.name}.{part}"] = weights[f"{layer.name}.{part}"][inputs]
            layers.append(replace(layer, features=int(inputs.sum())))
        else:
            layers.append(layer)
    return replace(network, layers=tuple(layers)), {name: found[name] for name in network.parameters()}


def _outputs(layer: Conv2d | Linear) -> int:
    return layer.out_channels if isinstance(layer, Conv2d) else layer.out_features


def _inputs_of(layer: Conv2d | Linear, kept: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Which inputs of a layer stay: a linear layer behind a convolution reads every channel's pixels in a row."""
    count = layer.in_channels if isinstance(layer, Conv2d) else layer.in_features
    if kept is None:
        return np.ones(count, np.bool_)
    return np.repeat(kept, count // kept.size)


def _resized(layer: Conv2d | Linear, before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Layer:
    inputs, outputs = int(before.sum()), int(after.sum())
    if isinstance(layer, Linear):
        return replace(layer, in_features=inputs, out_features=outputs)
    connections = layer.connections
    if connections is not None:
        place = np.cumsum(before) - 1
        connections = tuple(
            tuple(int(place[channel]) for channel in seen if before[channel])
            for seen, stays in zip(connections, after, strict=True)
            if stays
        )
    return replace(layer, in_channels=inputs, out_channels=outputs, connections=connections)
