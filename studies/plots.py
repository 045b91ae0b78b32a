"""Charts of a sweep: accuracy against bytes, curves over epochs, bars. Drawn without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from studies.sweep import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_bars", "plot_curves", "plot_pareto"]

_WIDTH, _HEIGHT, _DPI = 7.2, 4.6, 120


def plot_pareto(outcomes: Sequence[Outcome], path: Path) -> None:
    """Accuracy on the test set against bytes of the file; the line joins the front that held-out data chooses."""
    from studies.results import front_of

    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    sizes = [float(report["file_bytes"]) for report in reports]
    accuracies = [float(report["test"]["file"]["percent"]) for report in reports]
    errors = [100 - float(list(report["held_out"].values())[-1]["percent"]) for report in reports]
    front = front_of(list(zip(sizes, errors, strict=True)))

    def draw(axes: "Axes") -> None:
        axes.plot(sizes, accuracies, "o", color="0.65", label="a run")
        axes.plot(
            [sizes[i] for i in front],
            [accuracies[i] for i in front],
            "o-",
            color="C0",
            label="best for its bytes on held-out data",
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter("{x:,.0f}")
        axes.tick_params(axis="x", which="both", labelrotation=30)
        axes.legend()

    _chart(path, "Accuracy against size, both of the file", "bytes of model.dcz", "accuracy on the test set, %", draw)


def plot_curves(
    path: Path, title: str, labels: tuple[str, str], curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> None:
    """Lines over a common axis.

    Parameters
    ----------
    path : Path
    title : str
    labels : (str, str)
        Of the horizontal and the vertical axis.
    curves : mapping of str to (sequence of float, sequence of float)
        Label → places and heights; colours follow the order.
    """
    import matplotlib as mpl

    def draw(axes: "Axes") -> None:
        colours = mpl.colormaps["viridis"].resampled(max(2, len(curves) + 1))
        for number, (label, (places, heights)) in enumerate(curves.items()):
            marker = "o" if len(places) == 1 else None
            axes.plot(places, heights, label=label, color=colours(number), marker=marker, linewidth=1.4)
        axes.legend(fontsize="small", ncols=2 if len(curves) > 6 else 1)

    _chart(path, title, *labels, draw)


def plot_bars(
    path: Path, title: str, labels: tuple[str, str], groups: Sequence[str], bars: Mapping[str, Sequence[float]]
) -> None:
    """Bars side by side in groups.

    Parameters
    ----------
    path : Path
    title : str
    labels : (str, str)
        Of the horizontal and the vertical axis.
    groups : sequence of str
        Labels along the horizontal axis.
    bars : mapping of str to sequence of float
        Label → a height a group.
    """
    import numpy as np

    def draw(axes: "Axes") -> None:
        places, width = np.arange(len(groups)), 0.8 / len(bars)
        for number, (label, heights) in enumerate(bars.items()):
            axes.bar(places + (number - (len(bars) - 1) / 2) * width, heights, width, label=label)
        axes.set_xticks(places, groups)
        axes.margins(y=0.2)
        axes.legend(loc="upper right", ncols=len(bars))

    _chart(path, title, *labels, draw)


def _chart(path: Path, title: str, horizontal: str, vertical: str, draw: "_Draw") -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


if TYPE_CHECKING:
    from collections.abc import Callable

    _Draw = Callable[[Axes], None]
