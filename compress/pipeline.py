"""The order of the stages: train, prune and retrain, share and tune, and the compressed model that comes out.

Han, Mao, Dally: Deep Compression (2016), figure 1. Coding and packing follow in
`container`, which needs nothing of this file.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError, UsageError, WeightsError
from compress.graph import Graph, graph_of_module, graph_of_network
from compress.names import known_name
from compress.networks import Network, describe
from compress.networks.module import build_module
from compress.observer import Observer, Silent
from compress.optimisers import OPTIMISERS, learning_rate_factor
from compress.prune import (
    CRITERIA,
    SCHEDULES,
    Context,
    Criterion,
    select_above,
    select_each,
    select_globally,
    select_pattern,
)
from compress.prune.merge import merge_neurons, merge_point, most_similar
from compress.prune.structure import filter_masks, remove_filters
from compress.recipe import Recipe
from compress.representation import Codebook, CompressedModel, CompressedTensor, CsrCodes, DenseTensor, matrix_shape
from compress.share import assign, cluster
from compress.training import Constraint, EpochRecord, Masks, SharedWeights, evaluate, fit, gradients, gram

if TYPE_CHECKING:
    import torch
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

_TUNE_MOMENTUM = 0.9
_GRADIENT_BATCHES = 100
"""Batches over which `taylor` takes its gradient; on fewer, all."""

_ROUNDING = 1e-9
_SILENT = Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """What one stage took, and what the network was worth after it.

    Parameters
    ----------
    stage : str
    seconds : float
        Wall time.
    held_out_loss, held_out_accuracy : float or None
        In nats, in percent; None where no examples were held out.
    """

    stage: str
    seconds: float
    held_out_loss: float | None
    held_out_accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """Everything a compression gives.

    Parameters
    ----------
    model : CompressedModel
    module : torch.nn.Module
        A copy of the module that was given, with the weights that `model` holds.
    dense, pruned : mapping of str to float32
        Every parameter after dense training, and after pruning and retraining.
    history : tuple of EpochRecord
    stages : tuple of StageRecord
    """

    model: CompressedModel
    module: "nn.Module"
    dense: Mapping[str, NDArray[np.float32]]
    pruned: Mapping[str, NDArray[np.float32]]
    history: tuple[EpochRecord, ...]
    stages: tuple[StageRecord, ...]


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


def load_weights_(module: "nn.Module", weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Write weights (float32, by parameter name) into a module."""
    import torch

    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()}, strict=False)


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
        The module cannot be traced, or has no linear or convolution layer.
    CompressError
        Training diverges.
    """
    module = copy.deepcopy(module)
    if graph is None:
        first = next(iter(train))[0]
        graph = graph_of_module(module, first.to(next(module.parameters()).device))
    run = _Run(module, recipe, train, held_out, graph, observer)
    if not pretrained:
        run.stage("train", run.train)
    dense = weights_of(module, graph)
    if recipe.merge_neurons:
        run.stage("merge", run.merge)
    run.stage("prune", run.prune)
    pruned = weights_of(run.module, run.graph)
    run.stage("share", run.share)
    run.stage("tune", run.tune)
    model = run.pack()
    return Compression(
        model=model,
        module=run.module,
        dense=dense,
        pruned=pruned,
        history=tuple(run.history),
        stages=tuple(run.stages),
    )


class _Run:
    """The state that the stages of one compression pass on; each stage is a method and works on `module` in place."""

    def __init__(
        self,
        module: "nn.Module",
        recipe: Recipe,
        train: "Loader",
        held_out: "Loader | None",
        graph: Graph,
        observer: Observer,
    ) -> None:
        self.module, self.recipe, self.graph, self.observer = module, recipe, graph, observer
        self.loader, self.held_out = train, held_out
        self.network = describe(graph.zoo) if graph.zoo is not None else None
        self.coded = _coded_parameters(module, graph)
        _check_layers(recipe, self.coded)
        self.generator = np.random.default_rng(recipe.seed)
        self.masks = self.unpruned()
        self.filters: dict[str, NDArray[np.bool_]] = {}
        self.shared: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        self.centroids: dict[str, NDArray[np.float32]] = {}
        self.history: list[EpochRecord] = []
        self.stages: list[StageRecord] = []

    def stage(self, name: str, work: Callable[[], None]) -> None:
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
        loss, accuracy = evaluate(self.module, self.held_out) if self.held_out is not None else (None, None)
        self.stages.append(StageRecord(stage=name, seconds=seconds, held_out_loss=loss, held_out_accuracy=accuracy))

    def fit(
        self,
        stage: str,
        epochs: int,
        learning_rate: float,
        *,
        optimiser: str | None = None,
        weight_decay: float = 0.0,
        rate: Callable[[int, int], float] | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        build = OPTIMISERS[optimiser or self.recipe.optimiser]
        momentum = self.recipe.momentum if optimiser is None else _TUNE_MOMENTUM
        self.history += fit(
            self.module,
            self.loader,
            stage=stage,
            epochs=epochs,
            optimiser=lambda parameters: build(parameters, learning_rate, momentum, weight_decay),
            rate=rate,
            constraint=constraint,
            held_out=self.held_out,
            observer=self.observer,
        )

    def unpruned(self) -> dict[str, NDArray[np.bool_]]:
        """Masks with every weight that the network has: all but those that its description fixes at zero."""
        fixed = self.network.fixed_masks() if self.network else {}
        return {name: fixed.get(name, np.ones(self.graph.parameters[name], np.bool_)) for name in self.coded}

    def under_masks(self) -> Masks:
        """What retraining keeps true: pruned weights stay zero, and so does all else of a pruned filter."""
        import torch

        masks = dict(self.masks)
        if self.filters and self.network:
            masks = {**filter_masks(self.network, self.filters), **masks}
        elif self.filters:
            named = dict(self.module.named_parameters())
            biases = {f"{layer}.bias": kept for layer, kept in self.filters.items()}
            masks |= {name: kept for name, kept in biases.items() if name in named}
        return Masks(self.module, {name: torch.from_numpy(mask) for name, mask in masks.items()})

    def train(self) -> None:
        recipe = self.recipe
        self.fit(
            "train",
            recipe.epochs,
            recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            rate=learning_rate_factor(recipe.annealing, recipe.rate_decay, warm_up=recipe.warm_up),
        )

    def merge(self) -> None:
        recipe = self.recipe
        network = self.network
        if network is None:
            raise UnsupportedError("merge-layer: found a network that is not of the zoo, allowed those of the zoo only")
        merge_point(network, recipe.merge_layer, recipe.merge_neurons)
        for number in range(1, recipe.merge_neurons + 1):
            read_from = merge_point(network, recipe.merge_layer)
            first, second, cosine = most_similar(gram(self.module, read_from, self.loader).cpu().numpy())
            self.observer.note(
                "merge", f"{number}/{recipe.merge_neurons}: neurons {first} and {second}, cosine {cosine:.4f}"
            )
            network, weights = merge_neurons(
                network, weights_of(self.module, self.graph), recipe.merge_layer, first, second
            )
            self.rebuild(network, weights)
            self.fit(
                f"merge {number}",
                recipe.merge_epochs,
                recipe.retrain_learning_rate,
                weight_decay=recipe.weight_decay,
                constraint=self.under_masks(),
            )

    def prune(self) -> None:
        recipe = self.recipe
        nothing = recipe.sparsity == 0 and not recipe.layer_sparsity and not recipe.quality
        rounds = 0 if nothing else len(SCHEDULES[recipe.schedule](recipe.sparsity, recipe.rounds))
        for number in range(rounds):
            last = number == rounds - 1
            self.choose(number, rounds)
            self.observer.note("prune", f"round {number + 1}/{rounds}: {self.pruned_text()}")
            if last and CRITERIA[recipe.criterion].removes:
                self.remove()
            self.fit(
                "retrain" if last else f"prune {number + 1}",
                recipe.retrain_epochs if last else recipe.round_epochs,
                recipe.retrain_learning_rate,
                weight_decay=recipe.weight_decay,
                rate=learning_rate_factor(recipe.annealing, recipe.rate_decay) if last else None,
                constraint=self.under_masks(),
            )

    def choose(self, number: int, rounds: int) -> None:
        """Score what is left, and set the masks for the sparsity of this round, or for its part of the quality."""
        recipe, criterion = self.recipe, CRITERIA[self.recipe.criterion]
        weights = weights_of(self.module, self.graph)
        context = Context(
            weights={name: weights[name] for name in self.coded}, gradients=self.gradients, generator=self.generator
        )
        if criterion.unit == "filter":
            self.choose_filters(context, criterion, number)
            return
        present = self.unpruned()
        scores = {
            name: np.where(self.masks[name], criterion.score(context, name), -np.inf).astype(np.float32)
            for name in self.coded
        }
        if recipe.quality:
            part = (number + 1) / rounds
            thresholds = {name: part * recipe.quality_of(name, array.shape) for name, array in scores.items()}
            self.masks = select_above(scores, thresholds)
        elif recipe.pattern:
            kept, group = recipe.pattern_counts()
            kept = max(kept, math.ceil(group * (1 - self.reached(recipe.sparsity, number)) - _ROUNDING))
            self.masks = {name: select_pattern(array, kept, group) & present[name] for name, array in scores.items()}
        else:
            chosen = self.select({name: array[present[name]] for name, array in scores.items()}, number)
            for name, array in present.items():
                self.masks[name] = array.copy()
                self.masks[name][array] = chosen[name]

    def choose_filters(self, context: Context, criterion: Criterion, number: int) -> None:
        """Choose filters of every layer but the last; the best of each layer always stays."""
        scores = {}
        for name in self.coded[:-1]:
            found = criterion.score(context, name)
            layer = name.removesuffix(".weight")
            if layer in self.filters:
                found = np.where(self.filters[layer], found, -np.inf).astype(np.float32)
            found[int(np.argmax(found))] = np.inf
            scores[name] = found
        chosen = self.select(scores, number)
        self.filters = {name.removesuffix(".weight"): kept for name, kept in chosen.items()}
        self.masks = self.unpruned()
        for name, kept in chosen.items():
            self.masks[name][~kept] = False

    def select(self, scores: Mapping[str, NDArray[np.float32]], number: int) -> dict[str, NDArray[np.bool_]]:
        recipe, shapes = self.recipe, self.graph.parameters
        if recipe.scope == "global":
            return select_globally(scores, self.reached(recipe.sparsity, number))
        final = {name: recipe.sparsity_of(name, shapes[name]) for name in scores}
        return select_each(scores, {name: self.reached(sparsity, number) for name, sparsity in final.items()})

    def reached(self, sparsity: float, number: int) -> float:
        """Sparsity after a round, counted from zero, on the way to the one that is asked for."""
        return SCHEDULES[self.recipe.schedule](sparsity, self.recipe.rounds)[number]

    def gradients(self) -> dict[str, NDArray[np.float32]]:
        found = gradients(self.module, self.loader, _GRADIENT_BATCHES)
        return {name: found[name].cpu().numpy() for name in self.coded}

    def pruned_text(self) -> str:
        present = sum(int(np.count_nonzero(mask)) for mask in self.unpruned().values())
        kept = sum(int(np.count_nonzero(mask)) for mask in self.masks.values())
        text = f"sparsity {1 - kept / present:.4f}"
        if self.filters:
            gone = sum(int(np.count_nonzero(~kept)) for kept in self.filters.values())
            text += f", {gone} of {sum(kept.size for kept in self.filters.values())} filters"
        return text

    def remove(self) -> None:
        """Take the pruned filters out of the network."""
        if self.network is None:
            raise UnsupportedError(
                f"criterion: found {self.recipe.criterion!r} for a network that is not of the zoo, allowed filter-l1, "
                "filter-l2, which mask filters and leave the network as it is"
            )
        self.under_masks()
        self.rebuild(*remove_filters(self.network, weights_of(self.module, self.graph), self.filters))

    def rebuild(self, network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Go on with another network."""
        device = next(self.module.parameters()).device
        self.network, self.graph, self.filters = network, graph_of_network(network), {}
        self.module = build_module(network).to(device)
        load_weights_(self.module, weights)
        self.masks = self.unpruned()

    def share(self) -> None:
        import torch

        recipe = self.recipe
        generator = np.random.default_rng(recipe.seed)
        weights = weights_of(self.module, self.graph)
        for number, name in enumerate(self.coded, start=1):
            survivors = weights[name][self.masks[name]]
            k = 2 ** recipe.bits_of(name, weights[name].shape)
            centroids = cluster(survivors, k, recipe.initialisation, generator)
            codes = assign(survivors, centroids) if survivors.size else np.zeros(0, np.uint8)
            self.shared[name] = (
                torch.from_numpy(np.flatnonzero(self.masks[name])),
                torch.from_numpy(codes.astype(np.int64)),
                torch.from_numpy(centroids),
            )
            self.observer.progress("share", number, len(self.coded))
        SharedWeights(self.module, self.shared)

    def tune(self) -> None:
        keeper = SharedWeights(self.module, self.shared)
        self.fit(
            "tune",
            self.recipe.tune_epochs,
            self.recipe.tune_learning_rate,
            optimiser="nesterov",
            rate=learning_rate_factor("cosine"),
            constraint=keeper,
        )
        self.centroids = {name: centroids.cpu().numpy() for name, centroids in keeper.centroids().items()}

    def pack(self) -> CompressedModel:
        """Build the compressed model, rounding what the recipe rounds, and give the module exactly its weights."""
        tensors = tuple(
            self._coded_tensor(name)
            if name in self.coded
            else DenseTensor(name, _halved(array) if self.recipe.half and _is_bias_of(name, self.coded) else array)
            for name, array in weights_of(self.module, self.graph).items()
        )
        model = CompressedModel(self.graph, tensors, _provenance(self.recipe))
        load_weights_(self.module, model.weights())
        return model

    def _coded_tensor(self, name: str) -> CompressedTensor:
        mask, codes, centroids = self.masks[name], self.shared[name][1].numpy(), self.centroids[name]
        values, renumbered = np.unique(_halved(centroids) if self.recipe.half else centroids, return_inverse=True)
        matrix = mask.reshape(matrix_shape(mask.shape))
        csr = CsrCodes(
            matrix_shape(mask.shape),
            np.concatenate([[0], np.cumsum(np.count_nonzero(matrix, axis=1))]),
            np.nonzero(matrix)[1].astype(np.int32),
            renumbered[codes].astype(np.uint8),
        )
        return CompressedTensor(name, mask.shape, csr, Codebook(values, self.recipe.bits_of(name, mask.shape)))


def _coded_parameters(module: "nn.Module", graph: Graph) -> tuple[str, ...]:
    from torch import nn

    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    found = {f"{name}.weight".removeprefix(".") for name, layer in module.named_modules() if isinstance(layer, layers)}
    coded = tuple(name for name in graph.parameters if name in found)
    if not coded:
        raise UnsupportedError(f"{type(module).__name__}: found no linear or convolution layer, allowed at least one")
    return coded


def _check_layers(recipe: Recipe, coded: tuple[str, ...]) -> None:
    """Raise `UsageError` where the recipe names a layer that the network has not."""
    allowed = [*(name.removesuffix(".weight") for name in coded), "conv", "fc", "default"]
    for field in ("bits", "layer_sparsity", "quality"):
        for layer in getattr(recipe, field):
            known_name(f"{field.replace('_', '-')}, layer", layer, allowed)


def _is_bias_of(name: str, coded: tuple[str, ...]) -> bool:
    return name.endswith("bias") and f"{name.removesuffix('bias')}weight" in coded


def _halved(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to half precision; an array with a value beyond its range stays as it is."""
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16).astype(np.float32)
    return rounded if np.isfinite(rounded).all() else array


def _provenance(recipe: Recipe) -> dict[str, str]:
    kept = {"seed", "sparsity", "bits"}
    fields = {name: value for name, value in recipe.flat().items() if name in kept or name in recipe.changed()}
    return {
        "recipe": " ".join(f"{name}={value}" for name, value in fields.items()).replace("'", ""),
        "versions": " ".join(f"{name} {metadata.version(name)}" for name in ("deep-compress", "torch")),
    }
