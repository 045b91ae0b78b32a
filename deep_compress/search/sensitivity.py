"""A sensitivity scan from raw data to files: the dense network, the scan as JSON and CSV, and its chart."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.files import staged_directory, write_whole
from compress.observer import Observer, Silent
from compress.recipe.recipe import Recipe
from compress.representation import MAX_BITS
from deep_compress import jobs
from deep_compress.jobs.prepare import prepare, train_dense
from deep_compress.search.scan import SCANNED_BITS, SCANNED_SPARSITIES, Scan, scan

__all__ = ["as_json", "plot_scan", "run_sensitivity", "write_scan"]

_SILENT = Silent()


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
    destination = directory or jobs.RUNS / f"{recipe.place_name()}-sensitivity"
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
            initialisation=recipe.sharing.initialisation,
            present=prepared.network.fixed_masks(),
            observer=observer,
        )
        assert prepared.weights is not None
        (stage / "dense.safetensors").write_bytes(dump_weights(prepared.weights))
        write_scan(found, stage)
    return destination, found


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
    from deep_compress.charts import plot_panels

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
