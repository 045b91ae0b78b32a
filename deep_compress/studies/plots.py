"""Charts of a sweep: accuracy against bytes, curves over epochs, bars. Drawn without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deep_compress.jobs.run_report import RunReport
from deep_compress.search.front import front_of
from deep_compress.studies.sweep import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_bars", "plot_curves", "plot_front", "plot_panels", "plot_pareto"]

_WIDTH, _HEIGHT, _DPI = 7.2, 4.6, 120
_DEEP = 3.0
"""Points under the dense network below which the chart of a search is cut."""


def plot_pareto(outcomes: Sequence[Outcome], path: Path) -> None:
    """Accuracy on the test set against bytes of the file; the line joins the front that held-out data chooses."""
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    sizes = [float(report.file_bytes) for report in reports]
    accuracies = [report.test.file.percent for report in reports]
    errors = [100 - _last_held_out(report) for report in reports]
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
        _bytes_across(axes)
        axes.legend()

    _chart(path, "Accuracy against size, both of the file", "bytes of model.dcz", "accuracy on the test set, %", draw)


def _last_held_out(report: RunReport) -> float:
    """Accuracy in percent after the last stage; a run that held nothing out has none to choose by."""
    percent = list(report.held_out.values())[-1].percent
    return float("nan") if percent is None else percent


def plot_front(
    path: Path,
    title: str,
    trials: Sequence[tuple[float, float]],
    front: Sequence[tuple[float, float]],
    finalists: Sequence[tuple[float, float]],
    chosen: tuple[float, float],
    lines: Mapping[str, tuple[str, float]],
) -> None:
    """Held-out accuracy against bytes: what a search tried, what it found best, and what it chose.

    Parameters
    ----------
    path : Path
    title : str
    trials, front, finalists : sequence of (bytes, percent)
        The view is cut below `_DEEP` points under the dense network, unless something was chosen there.
    chosen : (bytes, percent)
    lines : mapping of str to ("x" or "y", float)
        Label → a line across: at so many bytes, or at an accuracy.
    """

    def draw(axes: "Axes") -> None:
        axes.plot(*_columns(trials), "o", color="0.72", markersize=4, label="short trial")
        axes.plot(*_columns(front), "o-", color="C0", markersize=5, label="front of the short trials")
        axes.plot(*_columns(finalists), "D", color="C1", markersize=6, label="compressed in full")
        axes.plot(*chosen, "*", color="C3", markersize=15, label="chosen")
        for (label, (axis, value)), style in zip(lines.items(), ("--", ":", "-."), strict=False):
            across = axes.axvline if axis == "x" else axes.axhline
            across(value, color="0.35", linestyle=style, linewidth=1, label=label)
        levels = [value for axis, value in lines.values() if axis == "y"]
        bottom = min(max(levels) - _DEEP, chosen[1])
        shown = [(size, percent) for size, percent in [*front, *finalists] if percent >= bottom] or [chosen]
        heights = [*levels, *_columns(shown)[1]]
        margin = 0.06 * max(max(heights) - min(heights), 0.5)
        axes.set_ylim(min(heights) - margin, max(heights) + margin)
        axes.set_xlim(min(_columns(shown)[0]) / 1.15, max(_columns(shown)[0]) * 1.15)
        _bytes_across(axes)
        axes.legend(fontsize="small", loc="lower right")

    _chart(path, title, "bytes of model.dcz", "accuracy on held-out images, %", draw)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


def _bytes_across(axes: "Axes") -> None:
    """A logarithmic axis of bytes, written as plain numbers."""
    from matplotlib.ticker import LogLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5) if high > 10 * low else (1.5, 2, 3, 4, 5, 6, 7, 8)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("{x:,.0f}")
    axes.tick_params(axis="x", which="both", labelrotation=30, labelsize="small")


def plot_panels(
    path: Path,
    title: str,
    height: str,
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    *,
    level: tuple[str, float],
) -> None:
    """Curves in panels side by side, each with its own range of heights, and one legend.

    Parameters
    ----------
    path : Path
    title : str
    height : str
        Label of the vertical axis.
    panels : mapping of str to mapping of str to (sequence of float, sequence of float)
        Label of the horizontal axis → curves: label → places and heights.
    level : (str, float)
        Label and height of a line across.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    colours = mpl.colormaps["viridis"].resampled(max(2, len(names) + 1))
    columns = -(-len(names) // 24)
    figure = Figure(figsize=(5.2 * len(panels) + 1.6 * columns, _HEIGHT), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (label, curves) in zip(grid, panels.items(), strict=True):
        for name, (places, heights) in curves.items():
            axes.plot(places, heights, "o-", label=name, color=colours(names.index(name)), linewidth=1.4, markersize=3)
        axes.axhline(level[1], color="0.35", linestyle="--", linewidth=1, label=level[0])
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    grid[0].set_ylabel(height)
    figure.suptitle(title, fontsize="medium")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small", ncols=columns)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


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
