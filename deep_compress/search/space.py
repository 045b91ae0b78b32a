"""What a search chooses from: how dense every layer is, and the bits of its codes, bounded by a sensitivity scan.

One number, the density of the whole network, moves all layers along what ranking all weights together by magnitude
keeps of each; another for every layer moves it away from there. So one step can make the file smaller as a whole,
and the layers' shares are found beside it, however many layers there are.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep_compress.search.scan import Scan

__all__ = ["Settings", "Space", "fields_of", "propose", "scaled", "space_of"]

Settings = Mapping[str, float]
"""`density`: of the whole network; `share LAYER`: by how many doublings a layer's density differs from what magnitude
gives it; `bits LAYER`."""

_LOWEST, _HIGHEST = 0.003, 0.5
"""Densities of the whole network that are tried: below, little is left of any; above, sharing alone serves."""

_DENSEST_LAYER = 0.9
"""A layer keeps something to prune, so that its places stay a stream of gaps like those of the others."""

_SHARE = 1.0
"""Doublings by which a layer's density may differ from what magnitude gives it: more makes the space hopeless."""

_LEAST_BITS, _MOST_BITS = 2, 6
"""One bit leaves a layer two values; more than six are tried only where a layer's scan asks for them."""

_LEAST_DENSITY = 0.005
"""Of a layer, as the scan wants it: below the sparsest scan (0.99), and above zero, of which there is no logarithm."""

_COLLAPSE = 30.0
"""Points that a layer alone may lose in the scan, without retraining, by the sparsity that is tried for it."""

_COARSE = 1.0
"""The same by its bits: sharing is mended little by tuning, and worse where weights are pruned too."""

_MENDED = 4.0
"""How much sparser a layer may be made than that, since retraining mends much of it."""

_BY_MAGNITUDE = ((0.1, 4), (0.05, 4), (0.03, 4), (0.07, 4), (0.2, 5), (0.02, 4), (0.05, 3), (0.01, 3))
"""Density and bits of the first trials, ranked by magnitude: from the usual place of the front outwards."""

_BY_SCAN = (0.3, 1.0)
"""Points that every layer alone may lose in the trials that follow the scan: a careful and a bold one."""

_DECIMALS = 5
"""Of a sparsity in a recipe: a hundred thousandth is less than one weight of LeNet-5's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is fixed about a dense network while its settings are searched.

    Parameters
    ----------
    layers : tuple of str
        Names of the layers, as a recipe takes them.
    magnitudes : tuple of float32 [n]
        Of each layer's weights, ascending; without those that the network fixes at zero.
    lowest : mapping of str to float
        Layer → the lowest density that is tried.
    fewest : mapping of str to int
        Layer → the fewest bits that are tried.
    starts : tuple of Settings
        Tried first, in this order.
    """

    layers: tuple[str, ...]
    magnitudes: tuple[NDArray[np.float32], ...]
    lowest: Mapping[str, float]
    fewest: Mapping[str, int]
    starts: tuple[Settings, ...] = ()

    def most(self, layer: str) -> int:
        """The most bits that are tried."""
        return max(_MOST_BITS, self.fewest[layer])


def space_of(
    weights: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.bool_]], found: Scan
) -> Space:
    """The space around a dense network.

    Parameters
    ----------
    weights : mapping of str to float32
        Dense weights, those that are in the scan at least.
    present : mapping of str to bool
        Name → False where the network fixes a weight at zero.
    found : Scan
    """
    names = list(found.layers)
    space = Space(
        layers=tuple(_layer(name) for name in names),
        magnitudes=tuple(
            np.sort(np.abs(weights[name][present[name]] if name in present else weights[name].ravel()))
            for name in names
        ),
        lowest={_layer(name): (1 - _sparsest(found, name, _COLLAPSE)) / _MENDED for name in names},
        fewest={_layer(name): _fewest(found, name, _COARSE) for name in names},
    )
    starts = [_around(space, density, dict.fromkeys(space.layers, bits)) for density, bits in _BY_MAGNITUDE]
    for place, tolerance in enumerate(_BY_SCAN):
        starts.insert(2 * place + 2, _as_scanned(space, found, tolerance))
    return Space(
        layers=space.layers,
        magnitudes=space.magnitudes,
        lowest=space.lowest,
        fewest=space.fewest,
        starts=tuple(starts),
    )


def _layer(name: str) -> str:
    return name.removesuffix(".weight")


def _sparsest(found: Scan, name: str, tolerance: float) -> float:
    """The highest scanned sparsity at which a layer alone costs no more than so many points."""
    pruned = found.layers[name].pruned
    return max((value for value, percent in pruned.items() if percent >= found.dense - tolerance), default=0.0)


def _fewest(found: Scan, name: str, tolerance: float) -> int:
    shared = found.layers[name].shared
    borne = (value for value, percent in shared.items() if percent >= found.dense - tolerance)
    return max(_LEAST_BITS, min(borne, default=_MOST_BITS))


def _by_magnitude(space: Space, density: float) -> dict[str, float]:
    """Layer → its density where the weights of all are ranked together."""
    everything = np.concatenate(space.magnitudes)
    kept = max(1, round(density * everything.size))
    threshold = np.partition(everything, everything.size - kept)[everything.size - kept]
    return {
        layer: max(1, array.size - int(np.searchsorted(array, threshold))) / max(1, array.size)
        for layer, array in zip(space.layers, space.magnitudes, strict=True)
    }


def _around(
    space: Space, density: float, bits: Mapping[str, int], shares: Mapping[str, float] | None = None
) -> dict[str, float]:
    settings = {"density": min(max(density, _LOWEST), _HIGHEST)}
    for layer in space.layers:
        settings[f"share {layer}"] = min(max((shares or {}).get(layer, 0.0), -_SHARE), _SHARE)
        settings[f"bits {layer}"] = min(max(bits[layer], space.fewest[layer]), space.most(layer))
    return settings


def _as_scanned(space: Space, found: Scan, tolerance: float) -> dict[str, float]:
    """Every layer as sparse as it alone bears with a loss of so many points, and in a bit more than it then needs."""
    wanted = {_layer(name): max(1 - _sparsest(found, name, tolerance), _LEAST_DENSITY) for name in found.layers}
    sizes = [array.size for array in space.magnitudes]
    density = sum(wanted[layer] * size for layer, size in zip(space.layers, sizes, strict=True)) / sum(sizes)
    given = _by_magnitude(space, density)
    shares = {layer: math.log2(wanted[layer] / given[layer]) for layer in space.layers}
    bits = {_layer(name): _fewest(found, name, tolerance) + 1 for name in found.layers}
    return _around(space, density, bits, shares)


def fields_of(space: Space, settings: Settings) -> dict[str, Any]:
    """The fields of a recipe that settings stand for."""
    given = _by_magnitude(space, settings["density"])
    densities = {
        layer: min(max(given[layer] * 2 ** settings[f"share {layer}"], space.lowest[layer]), _DENSEST_LAYER)
        for layer in space.layers
    }
    sizes = [array.size for array in space.magnitudes]
    kept = sum(densities[layer] * size for layer, size in zip(space.layers, sizes, strict=True))
    limit = 1 - 10.0**-_DECIMALS
    return {
        "scope": "per-layer",
        "sparsity": min(round(1 - kept / sum(sizes), _DECIMALS), limit),
        "layer_sparsity": {layer: min(round(1 - density, _DECIMALS), limit) for layer, density in densities.items()},
        "bits": {layer: int(settings[f"bits {layer}"]) for layer in space.layers},
    }


def scaled(settings: Settings, factor: float) -> dict[str, float]:
    """The same settings for a denser or a sparser network."""
    return {**settings, "density": min(max(settings["density"] * factor, _LOWEST), _HIGHEST)}


def propose(space: Space, history: Sequence[tuple[Settings, float, float]], seed: int) -> dict[str, float]:
    """What to try next: the starts, then what optuna's tree-structured Parzen estimator makes of the trials so far.

    A function of its arguments: the same history gives the same settings, in whatever process.

    Parameters
    ----------
    space : Space
    history : sequence of (Settings, cost, gain)
        All trials; costs are to be low, gains high.
    seed : int
    """
    if len(history) < len(space.starts):
        return dict(space.starts[len(history)])
    import optuna
    from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    choices: dict[str, BaseDistribution] = {"density": FloatDistribution(_LOWEST, _HIGHEST, log=True)}
    for layer in space.layers:
        choices[f"share {layer}"] = FloatDistribution(-_SHARE, _SHARE)
        choices[f"bits {layer}"] = IntDistribution(space.fewest[layer], space.most(layer))
    draw = int(np.random.SeedSequence([seed, len(history)]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # before optuna 5 the estimator of all settings together is called experimental
        sampler = optuna.samplers.TPESampler(seed=draw, n_startup_trials=0, multivariate=True)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    for settings, cost, gain in history:
        study.add_trial(
            optuna.trial.create_trial(params=dict(settings), distributions=choices, values=[float(cost), float(gain)])
        )
    return dict(study.ask(choices).params)
