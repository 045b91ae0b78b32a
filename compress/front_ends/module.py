"""The order of the stages: train, merge, prune, share, tune, assemble; each can be called on its own.

Han, Mao, Dally: Deep Compression (2016), figure 1. A stage whose name ends with an underscore trains the module that
it is given in place. Coding and packing follow in `packed`, which needs nothing of this folder.
"""

import copy
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from compress.front_ends.assemble import assemble
from compress.front_ends.check import check_outputs
from compress.front_ends.compression import Compression, StageRecord
from compress.front_ends.merge import merge_
from compress.front_ends.prune import check_layers, prune_
from compress.front_ends.share import share_, tune_
from compress.graph import Graph, graph_of_module
from compress.networks.traced import TracedModule, trace
from compress.networks.weights import load_weights_
from compress.observer import Observer, Silent
from compress.prune.strategies import choose_strategy
from compress.recipe.recipe import Recipe
from compress.training.epochs import evaluate
from compress.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import Tensor, nn

    Loader = Iterable[tuple[Tensor, Tensor]]

__all__ = ["compress_network", "train_"]

_SILENT = Silent()


def train_(traced: TracedModule, trainer: Trainer) -> TracedModule:
    """Train a dense network: the first stage.

    Raises
    ------
    CompressError
        Training diverges.
    """
    trainer.train_(traced.module)
    return traced


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
        Training diverges, or the compressed model does not compute what the module does.
    """
    module = copy.deepcopy(module)
    device = next(module.parameters()).device

    def example() -> "Tensor":
        """Inputs to trace the module with: of a pass of its own, which a loader may count."""
        return next(iter(train))[0].to(device)

    traced = trace(module, graph if graph is not None else graph_of_module(module, example()))
    trainer = Trainer(recipe, train, held_out, observer)
    strategy = choose_strategy(recipe, traced, lambda: example()[:2])
    check_layers(recipe, traced, strategy)
    stages = _Stages(held_out)
    if not pretrained:
        traced = stages.run("train", train_, traced, trainer)
    dense = traced.weights()
    if recipe.merging.merge_neurons:
        traced = stages.run("merge", merge_, traced, recipe, trainer)
    pruned = stages.run("prune", prune_, traced, recipe, strategy, trainer)
    weights = pruned.traced.weights()
    shared = stages.run("share", share_, pruned, recipe, observer)
    tuned = stages.run("tune", tune_, shared, trainer)
    traced = tuned.traced
    model = assemble(traced.graph, traced.weights(), tuned.coded, recipe)
    load_weights_(traced.module, model.weights(), traced.graph.parameters)
    check_outputs(model, traced.module, example)
    return Compression(
        model=model,
        module=traced.module,
        dense=dense,
        pruned=weights,
        history=tuple(trainer.history),
        stages=tuple(stages.records),
    )


class _WithModule(Protocol):
    @property
    def module(self) -> "nn.Module": ...


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result", bound=_WithModule)


class _Stages:
    """The stages that were run, with what each took and what the network was worth after it."""

    def __init__(self, held_out: "Loader | None") -> None:
        self._held_out = held_out
        self.records: list[StageRecord] = []

    def run(
        self,
        name: str,
        stage: Callable[_Arguments, _Result],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> _Result:
        start = time.perf_counter()
        result = stage(*args, **kwargs)
        seconds = time.perf_counter() - start
        loss, accuracy = evaluate(result.module, self._held_out) if self._held_out is not None else (None, None)
        self.records.append(StageRecord(stage=name, seconds=seconds, held_out_loss=loss, held_out_accuracy=accuracy))
        return result
