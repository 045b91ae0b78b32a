"""The stages that share weights: k-means over the survivors, then tuning of the centroids."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.front_ends.prune import Pruned
from compress.networks.traced import TracedModule
from compress.observer import Observer
from compress.recipe.recipe import Recipe
from compress.share.k_means import assign, cluster
from compress.training.constraints import SharedWeights
from compress.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Shared", "share_", "tune_"]

_Coded = tuple[NDArray[np.bool_], NDArray[np.uint8], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A network with shared weights.

    Parameters
    ----------
    traced : TracedModule
    coded : mapping of str to (mask bool, codes uint8 [nnz], centroids float32 [k])
        Weight → which of it survives, the survivors' codes in row-major order, what the codes stand for.
    """

    traced: TracedModule
    coded: Mapping[str, _Coded]

    @property
    def module(self) -> "nn.Module":
        return self.traced.module


def share_(pruned: Pruned, recipe: Recipe, observer: Observer) -> Shared:
    """Cluster every weight's survivors, and make the weights of one code equal."""
    generator = np.random.default_rng(recipe.seed)
    weights = pruned.traced.weights()
    coded: dict[str, _Coded] = {}
    for number, (name, mask) in enumerate(pruned.masks.items(), start=1):
        survivors = weights[name][mask]
        centroids = cluster(survivors, 2 ** recipe.bits_of(name, mask.shape), recipe.sharing.initialisation, generator)
        codes = assign(survivors, centroids) if survivors.size else np.zeros(0, np.uint8)
        coded[name] = mask, codes, centroids
        observer.progress("share", number, len(pruned.masks))
    shared = Shared(traced=pruned.traced, coded=coded)
    _under_codes_(shared)
    return shared


def tune_(shared: Shared, trainer: Trainer) -> Shared:
    """Train the centroids, and all that is not coded; the codes stay.

    Raises
    ------
    CompressError
        Training diverges.
    """
    keeper = _under_codes_(shared)
    trainer.tune_(shared.module, keeper)
    tuned = {name: centroids.cpu().numpy() for name, centroids in keeper.centroids().items()}
    return replace(shared, coded={name: (mask, codes, tuned[name]) for name, (mask, codes, _) in shared.coded.items()})


def _under_codes_(shared: Shared) -> SharedWeights:
    """Make the weights of one code equal; what is returned keeps them so."""
    from torch import from_numpy

    return SharedWeights(
        shared.module,
        {
            name: (from_numpy(np.flatnonzero(mask)), from_numpy(codes.astype(np.int64)), from_numpy(centroids))
            for name, (mask, codes, centroids) in shared.coded.items()
        },
    )
