"""The order of the stages: train, prune and retrain, share and tune, and the compressed model that comes out.

Han, Mao, Dally: Deep Compression (2016), figure 1. Coding and packing follow in
`container`, which needs nothing of this file.
"""

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError, UsageError, WeightsError
from compress.graph import Graph, graph_of_module
from compress.observer import Observer, Silent
from compress.prune import CRITERIA, SCHEDULES, select_globally
from compress.recipe import Recipe
from compress.representation import Codebook, CompressedModel, CompressedTensor, CsrCodes, DenseTensor, matrix_shape
from compress.share import assign, cluster
from compress.training import Constraint, EpochRecord, Masks, SharedWeights, evaluate, fit

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

_MOMENTUM = 0.9
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
    run.stage("prune", run.prune)
    pruned = weights_of(module, graph)
    run.stage("share", run.share)
    run.stage("tune", run.tune)
    model = run.pack()
    return Compression(
        model=model,
        module=module,
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
        self.coded = _coded_parameters(module, graph)
        self.masks = {name: np.ones(graph.parameters[name], dtype=np.bool_) for name in self.coded}
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
        weight_decay: float = 0.0,
        warm_up: bool = False,
        decay: bool = True,
        constraint: Constraint | None = None,
    ) -> None:
        import torch

        self.history += fit(
            self.module,
            self.loader,
            stage=stage,
            epochs=epochs,
            optimiser=lambda parameters: torch.optim.SGD(
                parameters, lr=learning_rate, momentum=_MOMENTUM, nesterov=True, weight_decay=weight_decay
            ),
            warm_up=warm_up,
            decay=decay,
            constraint=constraint,
            held_out=self.held_out,
            observer=self.observer,
        )

    def train(self) -> None:
        recipe = self.recipe
        self.fit("train", recipe.epochs, recipe.learning_rate, weight_decay=recipe.weight_decay, warm_up=True)

    def prune(self) -> None:
        import torch

        recipe = self.recipe
        generator = np.random.default_rng(recipe.seed)
        targets = SCHEDULES[recipe.schedule](recipe.sparsity, recipe.rounds) if recipe.sparsity > 0 else ()
        for number, target in enumerate(targets, start=1):
            last = number == len(targets)
            weights = weights_of(self.module, self.graph)
            scores = {name: CRITERIA[recipe.criterion](weights[name], generator) for name in self.coded}
            self.masks = select_globally(scores, target)
            self.observer.note("prune", f"round {number}/{len(targets)}: sparsity {target:.4f}")
            self.fit(
                "retrain" if last else f"prune {number}",
                recipe.retrain_epochs if last else recipe.round_epochs,
                recipe.retrain_learning_rate,
                weight_decay=recipe.weight_decay,
                decay=last,
                constraint=Masks(self.module, {name: torch.from_numpy(mask) for name, mask in self.masks.items()}),
            )

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
        self.fit("tune", self.recipe.tune_epochs, self.recipe.tune_learning_rate, constraint=keeper)
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
