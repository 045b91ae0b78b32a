"""The order of the stages: train, prune and retrain, share and tune, and the compressed model that comes out.

Han, Mao, Dally: Deep Compression (2016), figure 1. Coding and packing follow in
`container`, which needs nothing of this file.
"""

import copy
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.front_ends.assemble import assemble
from compress.front_ends.compression import Compression, StageRecord
from compress.graph import Graph, graph_of_module
from compress.networks.weights import check_weights, choose_device, load_weights_, weights_of
from compress.observer import Observer, Silent
from compress.prune.pruner import Pruner
from compress.recipe.recipe import Recipe
from compress.share.k_means import assign, cluster
from compress.training.constraints import SharedWeights
from compress.training.epochs import evaluate
from compress.training.optimisers import learning_rate_factor
from compress.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import Tensor, nn

    Loader = Iterable[tuple[Tensor, Tensor]]

__all__ = [
    "Compression",
    "StageRecord",
    "check_weights",
    "choose_device",
    "compress_network",
    "load_weights_",
    "weights_of",
]

_Shared = tuple[NDArray[np.bool_], NDArray[np.uint8], NDArray[np.float32]]

_SILENT = Silent()


def compress_network(
    module: "nn.Module",
    recipe: Recipe,
    *,
    train: "Loader",
    held_out: "Loader | None" = None,
    graph: Graph | None = None,
    pretrained: bool = True,
    observer: Observer = _SILENT,
) -> Compression:
    """Prune, share and tune a network; the module that is given stays as it is.

    The weights of its linear and convolution layers are coded, everything else is kept.

    Parameters
    ----------
    module : torch.nn.Module
        Maps inputs [batch, ...] to logits [batch, classes]; float32.
    recipe : Recipe
        Its fields `network`, `data`, `held_out`, `limit`, `batch_size` and `shift` tell how loaders are made, and are
        not looked at here.
    train : iterable of (inputs, labels)
        Passed over once an epoch; with a length, if passes should not be counted first.
    held_out : iterable of (inputs, labels), optional
        Measured after every epoch and stage, for the history; nothing is learned from it.
    graph : Graph, optional
        Traced from the module with the first batch of `train` where it is not given.
    pretrained : bool
        Leave out the stage `train`: the module has its weights already.
    observer : Observer

    Returns
    -------
    Compression

    Raises
    ------
    WeightsError
        A weight is NaN or infinite.
    UnsupportedError
        The module cannot be traced, has no linear or convolution layer, or has channels that cannot be removed.
    CompressError
        Training diverges.
    """
    module = copy.deepcopy(module)
    if graph is None:
        first = next(iter(train))[0]
        graph = graph_of_module(module, first.to(next(module.parameters()).device))
    trainer = Trainer(recipe, train, held_out, observer)
    pruner = Pruner(module, graph, recipe, trainer)
    stages: list[StageRecord] = []

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        loss, accuracy = evaluate(pruner.module, held_out) if held_out is not None else (None, None)
        stages.append(StageRecord(stage=name, seconds=seconds, held_out_loss=loss, held_out_accuracy=accuracy))

    if not pretrained:
        with stage("train"):
            rate = learning_rate_factor(recipe.annealing, recipe.rate_decay, warm_up=recipe.warm_up)
            trainer.fit(module, "train", recipe.epochs, recipe.learning_rate, rate=rate)
    dense = weights_of(module, graph)
    if recipe.merge_neurons:
        with stage("merge"):
            pruner.merge()
    with stage("prune"):
        pruner.prune()
    pruned = weights_of(pruner.module, pruner.graph)
    with stage("share"):
        shared = _share({name: (pruned[name], pruner.masks[name]) for name in pruner.coded}, recipe, observer)
        keeper = _under_codes(pruner.module, shared)
    with stage("tune"):
        rate = learning_rate_factor("cosine")
        trainer.fit(
            pruner.module,
            "tune",
            recipe.tune_epochs,
            recipe.tune_learning_rate,
            shared=True,
            rate=rate,
            constraint=keeper,
        )
    tuned = {name: centroids.cpu().numpy() for name, centroids in keeper.centroids().items()}
    model = assemble(
        pruner.graph,
        weights_of(pruner.module, pruner.graph),
        {name: (mask, codes, tuned[name]) for name, (mask, codes, _) in shared.items()},
        recipe,
    )
    load_weights_(pruner.module, model.weights(), pruner.graph.parameters)
    return Compression(
        model=model,
        module=pruner.module,
        dense=dense,
        pruned=pruned,
        history=tuple(trainer.history),
        stages=tuple(stages),
    )


def _share(
    weights: Mapping[str, tuple[NDArray[np.float32], NDArray[np.bool_]]], recipe: Recipe, observer: Observer
) -> dict[str, _Shared]:
    """Cluster every weight's survivors: its mask, their codes in row-major order, the centroids."""
    generator = np.random.default_rng(recipe.seed)
    shared: dict[str, _Shared] = {}
    for number, (name, (weight, mask)) in enumerate(weights.items(), start=1):
        survivors = weight[mask]
        centroids = cluster(survivors, 2 ** recipe.bits_of(name, weight.shape), recipe.initialisation, generator)
        codes = assign(survivors, centroids) if survivors.size else np.zeros(0, np.uint8)
        shared[name] = mask, codes, centroids
        observer.progress("share", number, len(weights))
    return shared


def _under_codes(module: "nn.Module", shared: Mapping[str, _Shared]) -> SharedWeights:
    """Make the weights of one code equal, and keep them so in tuning."""
    from torch import from_numpy

    return SharedWeights(
        module,
        {
            name: (from_numpy(np.flatnonzero(mask)), from_numpy(codes.astype(np.int64)), from_numpy(centroids))
            for name, (mask, codes, centroids) in shared.items()
        },
    )
