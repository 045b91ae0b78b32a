"""The chart of a search: what it tried, what it found best, and what it chose."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deep_compress.charts import bytes_across, chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_front"]

_DEEP = 3.0
"""Points under the dense network below which the chart is cut: what lies there would flatten all that matters."""


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
        bytes_across(axes)
        axes.legend(fontsize="small", loc="lower right")

    chart(path, title, "bytes of model.dcz", "accuracy on held-out images, %", draw)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [first for first, _ in pairs], [second for _, second in pairs]
