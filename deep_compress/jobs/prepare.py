"""What a job has before it trains: examples as tensors, a network that fits them, its graph, a checkpoint; all checked.

`Prepared.start` gives the module and the loaders in one and the same state at every call, so that a compression that
is tried out and the full run of the same recipe from the same weights come to the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.datasets import Dataset, load_dataset, normalise
from compress.errors import DataError
from compress.graph import Graph
from compress.networks.resolve import ResolvedNetwork, resolve
from compress.observer import Observer, Silent
from compress.recipe.recipe import Recipe
from compress.training.checkpoint import read_weights

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from compress.training.batches import Batches

__all__ = ["Prepared", "Start", "count_examples", "prepare", "train_dense"]

_EVALUATION_BATCH = 1000
"""Held-out examples measured at once: large enough to be fast, and far from any limit of memory."""

_SILENT = Silent()


@dataclass(frozen=True, slots=True)
class Start:
    """Where a compression starts: a module of its own, and loaders that nobody has drawn from."""

    module: "nn.Module"
    train: "Batches"
    held_out: "Batches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A recipe with its examples, its network, and the device where it is trained.

    Parameters
    ----------
    recipe : Recipe
    dataset : Dataset
    network : ResolvedNetwork
        Fitted to the data.
    graph : Graph
    device : torch.device
    weights : mapping of str to float32, optional
        Of a trained network.
    """

    recipe: Recipe
    dataset: Dataset = field(repr=False)
    network: ResolvedNetwork
    graph: Graph
    device: "torch.device"
    weights: Mapping[str, NDArray[np.float32]] | None
    _train: "tuple[Tensor, Tensor]" = field(repr=False)
    _held_out: "tuple[Tensor, Tensor]" = field(repr=False)
    _drawn: "Tensor" = field(repr=False)

    def start(self) -> Start:
        """A module with the recipe's seed, or the trained weights, and loaders: the same at every call."""
        import torch

        from compress.networks.weights import load_weights_
        from compress.training.augment import Augmentation
        from compress.training.batches import Batches

        examples = self.recipe.examples
        torch.manual_seed(self.recipe.seed)
        module = self.network.build()
        if self.weights is not None:
            load_weights_(module, self.weights, self.graph.parameters)
        module.to(self.device)
        generator = torch.Generator()
        generator.set_state(self._drawn)
        changes = Augmentation(
            flip=examples.flip,
            rotation=examples.rotation,
            brightness=examples.brightness,
            contrast=examples.contrast,
            mean=self.dataset.mean,
            standard_deviation=self.dataset.standard_deviation,
        )
        return Start(
            module,
            Batches(*self._train, examples.batch_size, generator, examples.shift, changes),
            Batches(*self._held_out, _EVALUATION_BATCH),
        )


def count_examples(recipe: Recipe, dataset: Dataset) -> int:
    """Training examples that a recipe uses, held-out ones included.

    Raises
    ------
    DataError
        None would be left to train on.
    """
    count = min(len(dataset.train), recipe.examples.limit or len(dataset.train))
    if recipe.examples.held_out >= count:
        raise DataError(
            f"held-out: found {recipe.examples.held_out} of {count} training examples, allowed fewer than all"
        )
    return count


def prepare(
    recipe: Recipe, *, data_dir: Path | None = None, checkpoint: Path | None = None, device: str = "auto"
) -> Prepared:
    """Read the data, build the network for it, and check what was given.

    Parameters
    ----------
    recipe : Recipe
    data_dir : Path, optional
        Directory of the data set.
    checkpoint : Path, optional
        safetensors file of a trained network.
    device : str
        auto, cpu or cuda.

    Raises
    ------
    CompressError
        One of its kinds: a device that is not there, bad data, a network that does not fit, a bad checkpoint.
    """
    import torch

    from compress.networks.weights import check_weights, choose_device

    chosen = choose_device(device)
    dataset = load_dataset(recipe.data, data_dir)
    network = resolve(
        recipe.network, classes=dataset.classes, channels=dataset.channels, size=dataset.train.images.shape[2]
    )
    torch.manual_seed(recipe.seed)
    graph = network.graph(network.build())
    weights = None
    if checkpoint is not None:
        weights = read_weights(checkpoint)
        check_weights(weights, graph.parameters, str(checkpoint))
    generator = torch.Generator().manual_seed(recipe.seed)
    count = count_examples(recipe, dataset)
    order = torch.randperm(len(dataset.train), generator=generator)[:count].numpy()

    def tensors(places: NDArray[np.int64]) -> "tuple[Tensor, Tensor]":
        images = normalise(dataset, dataset.train.images[places], network.input_shape)
        return torch.from_numpy(images).to(chosen), torch.from_numpy(dataset.train.labels[places]).to(chosen)

    return Prepared(
        recipe=recipe,
        network=network,
        graph=graph,
        device=chosen,
        weights=weights,
        dataset=dataset,
        _train=tensors(order[recipe.examples.held_out :]),
        _held_out=tensors(order[: recipe.examples.held_out]),
        _drawn=generator.get_state(),
    )


def train_dense(prepared: Prepared, observer: Observer = _SILENT) -> tuple[Prepared, tuple[str, ...]]:
    """Train the dense network as a full run of the recipe does, unless it has its weights already.

    Returns
    -------
    Prepared
        With the weights of the dense network.
    tuple of str
        The weights that compression codes: those of linear and convolution layers, in the order of the graph.

    Raises
    ------
    CompressError
        Training diverges.
    """
    from compress.front_ends.module import train_
    from compress.networks.traced import trace
    from compress.training.trainer import Trainer

    start = prepared.start()
    traced = trace(start.module, prepared.graph)
    if prepared.weights is None:
        traced = train_(traced, Trainer(prepared.recipe, start.train, start.held_out, observer))
    return replace(prepared, weights=traced.weights()), traced.coded
