"""Charts of any kind: curves, panels of curves, bars, an axis of bytes. Drawn without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

__all__ = ["bytes_across", "chart", "plot_bars", "plot_curves", "plot_panels"]

_WIDTH, _HEIGHT, _DPI = 7.2, 4.6, 120
"""Inches, inches and pixels an inch: a chart is as wide as a page of the documentation shows it."""

_LEGEND_ROWS = 24
"""As many names as fit beside a panel of this height."""


def bytes_across(axes: "Axes") -> None:
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
    columns = -(-len(names) // _LEGEND_ROWS)
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

    chart(path, title, *labels, draw)


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

    chart(path, title, *labels, draw)


def chart(path: Path, title: str, horizontal: str, vertical: str, draw: "Callable[[Axes], None]") -> None:
    """Write a chart of one pair of axes, which a function draws on."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
