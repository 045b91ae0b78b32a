"""The picture of a run: training curves, weights before and after, bytes per layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.training.epochs import EpochRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Layer", "plot_run"]

Layer = tuple[str, NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], Mapping[str, float]]
"""Name; dense weights before; surviving weights after; centroids; bytes by what they hold."""

_BINS = 101
"""Odd, so that zero lies in the middle of a bin and not on an edge; some four pixels each."""

_BEFORE, _AFTER, _CENTROID = "#b8c4d0", "#1f5fa8", "#d1495b"
_PARTS = ("#1f5fa8", "#4fa3a5", "#e3b23c", "#d1495b", "#7a6c9d", "#8d99ae", "#5c5c5c")


def plot_run(path: Path, title: str, history: Sequence[EpochRecord], layers: Sequence[Layer]) -> None:
    """Write a PNG file.

    Parameters
    ----------
    path : Path
    title : str
    history : sequence of EpochRecord
        In the order of training; may be empty.
    layers : sequence of Layer
        The coded tensors.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(4, max(2, len(layers)))
    rows = -(-len(layers) // columns)
    figure = Figure(figsize=(4.2 * columns, 4.2 + 2.6 * rows + 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=14)
    top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=[4.2, 2.6 * rows, 3.2]).ravel()
    loss_axes, accuracy_axes = top.subplots(1, 2)
    _curves(loss_axes, accuracy_axes, history)
    middle.suptitle("Weights before (grey) and after pruning and sharing (blue), with the centroids (red ticks)")
    grid = np.atleast_1d(np.asarray(middle.subplots(rows, columns, squeeze=False))).ravel()
    for axes, layer in zip(grid, layers, strict=False):
        _histogram(axes, layer)
    for axes in grid[len(layers) :]:
        axes.set_axis_off()
    _bytes(bottom.subplots(1, 1), layers)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _curves(loss: "Axes", accuracy: "Axes", history: Sequence[EpochRecord]) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(history) + 1)
    loss.plot(epochs, [record.loss for record in history], label="training", color=_AFTER)
    held_out = [np.nan if record.held_out_loss is None else record.held_out_loss for record in history]
    loss.plot(epochs, held_out, label="held out", color=_CENTROID)
    right = [np.nan if record.held_out_accuracy is None else record.held_out_accuracy for record in history]
    accuracy.plot(epochs, right, color=_CENTROID, marker=".")
    loss.set(title="Loss", xlabel="epoch, all stages", ylabel="nats")
    accuracy.set(title="Held-out accuracy", xlabel="epoch, all stages", ylabel="%")
    if history:
        loss.set_yscale("log")
        best = np.nanmax(right) if np.isfinite(right).any() else np.nan
        if np.isfinite(best):
            accuracy.set_ylim(max(0.0, best - 6), min(100.0, best + 0.6))
    loss.legend(loc="upper right")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        first = 0
        for number, record in enumerate(history):
            if number == len(history) - 1 or history[number + 1].stage != record.stage:
                if first:
                    axes.axvline(first + 0.5, color="0.6", linewidth=0.8, linestyle=":")
                axes.annotate(
                    record.stage,
                    ((first + number) / 2 + 1, 0.02),
                    xycoords=("data", "axes fraction"),
                    rotation=90 if number - first < 3 else 0,
                    ha="center",
                    va="bottom",
                    fontsize=8,
                    color="0.35",
                )
                first = number + 1


def _histogram(axes: "Axes", layer: Layer) -> None:
    name, before, after, centroids, _ = layer
    reach = float(max(np.abs(before).max(initial=0.0), np.abs(after).max(initial=0.0))) or 1.0
    edges = np.linspace(-reach, reach, _BINS + 1).tolist()
    axes.hist(before.ravel(), edges, color=_BEFORE, label="before")
    axes.hist(after.ravel(), edges, color=_AFTER, label="after")
    axes.plot(centroids, np.full(centroids.size, 0.7), "|", color=_CENTROID, markersize=9, label="centroids")
    axes.set_yscale("log")
    axes.set_title(f"{name}: {after.size:,} of {before.size:,} kept", fontsize=9)
    axes.tick_params(labelsize=8)


def _bytes(axes: "Axes", layers: Sequence[Layer]) -> None:
    names = [layer[0] for layer in layers]
    left = np.zeros(len(layers))
    parts = list(dict.fromkeys(part for layer in layers for part in layer[4]))
    for number, part in enumerate(parts):
        widths = np.asarray([layer[4].get(part, 0.0) for layer in layers])
        axes.barh(names, widths, left=left, label=part, color=_PARTS[number % len(_PARTS)])
        left += widths
    for row, total in enumerate(left):
        axes.annotate(f" {total:,.0f} B", (total, row), va="center", fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set(title="Bytes in the packed file", xlabel="bytes")
    axes.legend(fontsize=8, loc="lower right")
    axes.grid(axis="x", alpha=0.3)
