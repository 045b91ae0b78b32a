"""How much accuracy each layer loses when it alone is pruned, or alone is shared in fewer bits, without retraining.

Han, Pool, Tran, Dally (2015), figure 6. Measured on held-out images only.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import UsageError
from compress.files import staged_directory, write_whole
from compress.observer import Observer, Silent
from compress.prune import select_globally
from compress.recipe.recipe import Recipe
from compress.representation import MAX_BITS
from compress.share.k_means import assign, cluster
from deep_compress import jobs
from deep_compress.jobs.prepare import prepare, train_dense

if TYPE_CHECKING:
    from torch import Tensor, nn

    Loader = Iterable[tuple[Tensor, Tensor]]

__all__ = [
    "SCANNED_BITS",
    "SCANNED_SPARSITIES",
    "LayerScan",
    "Scan",
    "as_json",
    "place_name",
    "plot_scan",
    "run_sensitivity",
    "scan",
    "write_scan",
]

SCANNED_SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
SCANNED_BITS = (1, 2, 3, 4, 5, 6, 8)

_SILENT = Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScan:
    """What changing one layer alone does, in percent of the held-out images.

    Parameters
    ----------
    weights : int
        That the layer has.
    pruned : mapping of float to float
        Its sparsity → accuracy.
    shared : mapping of int to float
        Bits of its codes → accuracy.
    """

    weights: int
    pruned: Mapping[float, float]
    shared: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a sensitivity scan found.

    Parameters
    ----------
    dense : float
        Accuracy of the network as it is, in percent of the held-out images.
    layers : mapping of str to LayerScan
        By the name of the layer's weight.
    """

    dense: float
    layers: Mapping[str, LayerScan]


def scan(
    module: "nn.Module",
    weights: Sequence[str],
    held_out: "Loader",
    *,
    sparsities: Sequence[float] = SCANNED_SPARSITIES,
    bits: Sequence[int] = SCANNED_BITS,
    initialisation: str = "linear",
    present: Mapping[str, NDArray[np.bool_]] | None = None,
    known: Mapping[str, LayerScan] | None = None,
    keep: Callable[[str, LayerScan], None] | None = None,
    observer: Observer = _SILENT,
) -> Scan:
    """Prune, and share, one layer at a time, by magnitude; the module is left as it was.

    Parameters
    ----------
    module : torch.nn.Module
    weights : sequence of str
        Parameters to try.
    held_out : iterable of (inputs, labels)
        Never the test set: what is found here is chosen by. Passed over once a measurement.
    sparsities, bits : sequence
    initialisation : str
        Of the shared weights' k-means.
    present : mapping of str to bool, optional
        Parameter → False where the network fixes a weight at zero: it is neither pruned nor shared.
    known : mapping of str to LayerScan, optional
        Layers that were scanned before, and are not again.
    keep : callable, optional
        Called with every layer that is done.
    observer : Observer

    Returns
    -------
    Scan
    """
    import torch

    from compress.training.epochs import evaluate

    named, known = dict(module.named_parameters()), known or {}
    total = len(weights) * (len(sparsities) + len(bits))
    done = sum(name in known for name in weights) * (len(sparsities) + len(bits))
    dense = evaluate(module, held_out)[1]

    def measure(name: str, changed: NDArray[np.float32]) -> float:
        nonlocal done
        parameter = named[name]
        before = parameter.detach().clone()
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(changed))
            try:
                accuracy = evaluate(module, held_out)[1]
            finally:
                parameter.copy_(before)
        done += 1
        observer.progress("sensitivity", done, total)
        return accuracy

    layers: dict[str, LayerScan] = {}
    for name in weights:
        if name in known:
            layers[name] = known[name]
            continue
        weight = named[name].detach().cpu().numpy().astype(np.float32)
        where = (present or {}).get(name, np.ones(weight.shape, np.bool_))
        layers[name] = LayerScan(
            weights=int(np.count_nonzero(where)),
            pruned={value: measure(name, _pruned(weight, where, value)) for value in sparsities},
            shared={value: measure(name, _shared(weight, where, value, initialisation)) for value in bits},
        )
        if keep is not None:
            keep(name, layers[name])
    return Scan(dense=dense, layers=layers)


def _pruned(weight: NDArray[np.float32], where: NDArray[np.bool_], sparsity: float) -> NDArray[np.float32]:
    changed = np.zeros_like(weight)
    values = weight[where]
    changed[where] = values * select_globally({"": np.abs(values)}, sparsity)[""]
    return changed


def _shared(
    weight: NDArray[np.float32], where: NDArray[np.bool_], bits: int, initialisation: str
) -> NDArray[np.float32]:
    changed = np.zeros_like(weight)
    values = weight[where]
    centroids = cluster(values, 2**bits, initialisation, np.random.default_rng(0))
    changed[where] = centroids[assign(values, centroids)]
    return changed


def run_sensitivity(
    recipe: Recipe,
    *,
    directory: Path | None = None,
    data_dir: Path | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    sparsities: Sequence[float] = SCANNED_SPARSITIES,
    bits: Sequence[int] = SCANNED_BITS,
    force: bool = False,
    observer: Observer = _SILENT,
) -> tuple[Path, Scan]:
    """Train the dense network of a recipe, or read its weights, scan its layers, and write what was found.

    Parameters
    ----------
    recipe : Recipe
        Its fields for training and data; it is not compressed.
    directory : Path, optional
        Gets sensitivity.json, sensitivity.csv, sensitivity.png and dense.safetensors, all at once; named after network
        and data by default.
    data_dir, checkpoint : Path, optional
    device : str
    sparsities, bits : sequence
        What is tried for every layer.
    force : bool
        Replace an earlier scan in the same place.
    observer : Observer

    Returns
    -------
    Path, Scan
        The directory, and what was found.

    Raises
    ------
    UsageError
        A sparsity or a number of bits that is not allowed.
    CompressError
        Bad data, a bad checkpoint, a network that does not fit, a place that cannot be written.
    """
    from compress.training.checkpoint import dump_weights

    for value in sparsities:
        if not 0 <= value < 1:
            raise UsageError(f"sparsities: found {value:g}, allowed at least 0 and below 1")
    for number in bits:
        if not 1 <= number <= MAX_BITS:
            raise UsageError(f"bits: found {number}, allowed 1 to {MAX_BITS}")
    if not sparsities and not bits:
        raise UsageError("sparsities, bits: found neither, allowed at least one value")
    destination = directory or jobs.RUNS / f"{place_name(recipe)}-sensitivity"
    with staged_directory(destination, force=force, marker="sensitivity.json") as stage:
        prepared = prepare(recipe, data_dir=data_dir, checkpoint=checkpoint, device=device)
        prepared, coded = train_dense(prepared, observer)
        start = prepared.start()
        found = scan(
            start.module,
            coded,
            start.held_out,
            sparsities=sorted(set(sparsities)),
            bits=sorted(set(bits)),
            initialisation=recipe.initialisation,
            present=prepared.network.fixed_masks(),
            observer=observer,
        )
        assert prepared.weights is not None
        (stage / "dense.safetensors").write_bytes(dump_weights(prepared.weights))
        write_scan(found, stage)
    return destination, found


def place_name(recipe: Recipe) -> str:
    """What a directory is called after a recipe's network and data.

    >>> place_name(Recipe.of({"network": "lenet-5(activation=tanh)"}))
    'lenet-5-activation-tanh-mnist'
    """
    data, _, place = recipe.data.partition(":")
    return re.sub(r"[^A-Za-z0-9.]+", "-", f"{recipe.network}-{data}-{Path(place).name}").strip("-.")


def write_scan(found: Scan, directory: Path) -> None:
    """Write a scan as sensitivity.json, as a tidy sensitivity.csv, and as a plot, sensitivity.png."""
    write_whole(directory / "sensitivity.json", (json.dumps(as_json(found), indent=1) + "\n").encode())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["layer", "weights", "changed", "value", "held-out percent"])
    for name, layer in found.layers.items():
        start = [_layer(name), layer.weights]
        writer.writerows([*start, "sparsity", value, percent] for value, percent in layer.pruned.items())
        writer.writerows([*start, "bits", value, percent] for value, percent in layer.shared.items())
    write_whole(directory / "sensitivity.csv", text.getvalue().encode())
    plot_scan(found, directory / "sensitivity.png")


def as_json(found: Scan) -> dict[str, Any]:
    """A scan as plain values."""
    return {
        "format": 1,
        "dense_percent": found.dense,
        "layers": {
            _layer(name): {
                "weights": layer.weights,
                "percent_at_sparsity": {str(value): percent for value, percent in layer.pruned.items()},
                "percent_at_bits": {str(value): percent for value, percent in layer.shared.items()},
            }
            for name, layer in found.layers.items()
        },
    }


def plot_scan(found: Scan, path: Path) -> None:
    """Accuracy against sparsity, and against bits, a curve a layer."""
    from deep_compress.studies.plots import plot_panels

    pruned = {_layer(name): _curve(layer.pruned) for name, layer in found.layers.items() if layer.pruned}
    shared = {_layer(name): _curve(layer.shared) for name, layer in found.layers.items() if layer.shared}
    panels = {"sparsity of the layer": pruned, "bits of the layer's codes": shared}
    plot_panels(
        path,
        "Accuracy on held-out images when one layer alone is changed, without retraining",
        "accuracy, %",
        {label: curves for label, curves in panels.items() if curves},
        level=("dense", found.dense),
    )


def _curve(values: Mapping[Any, float]) -> tuple[list[float], list[float]]:
    return [float(value) for value in values], list(values.values())


def _layer(name: str) -> str:
    return name.removesuffix(".weight")
