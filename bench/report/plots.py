"""The plots of the page, as SVG inside a data URI; equal values give equal bytes."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_plot", "dot_plot", "layers_plot", "size_plot"]

_COLOURS = (
    "#0b62a8",
    "#d9822b",
    "#2e8b57",
    "#a23b72",
    "#6b7280",
    "#b8a100",
    "#4b3f8f",
    "#c0392b",
    "#17889a",
    "#7a5c3e",
)
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "bench report",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def _figure(width: float, height: float) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _data_uri(figure: "Figure") -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue().encode()).decode()


def _rc() -> Any:
    import matplotlib as mpl

    return mpl.rc_context(_SETTINGS)


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def dot_plot(labels: Sequence[str], values: Sequence[float], groups: Sequence[str], axis: str) -> str:
    """A dot a line on a logarithmic axis, one colour a group, each with its value, smallest first."""
    with _rc():
        figure, axes = _figure(10.5, 0.9 + 0.27 * len(labels))
        order = sorted(range(len(values)), key=lambda index: (-values[index], labels[index]))
        names = list(dict.fromkeys(groups))
        for place, index in enumerate(order):
            colour = _COLOURS[names.index(groups[index]) % len(_COLOURS)]
            axes.axhline(place, color="#d9dee5", linewidth=0.8, zorder=0)
            axes.plot(values[index], place, "o", color=colour, markersize=7)
            spot, beside = (values[index], place), (8, 0)
            axes.annotate(_plain(values[index]), spot, beside, textcoords="offset points", va="center", fontsize=9)
        axes.set_yticks(range(len(order)), [labels[index] for index in order])
        axes.tick_params(axis="y", length=0)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: _plain(value))
        axes.xaxis.set_minor_formatter("")
        axes.set_xlabel(axis)
        axes.margins(x=0.1)
        axes.set_ylim(-0.7, len(order) - 0.3)
        return _data_uri(figure)


def size_plot(labels: Sequence[str], sizes: Sequence[int], kinds: Sequence[str]) -> str:
    """Bytes of every line of a size table."""
    return dot_plot(labels, [float(size) for size in sizes], kinds, "bytes (logarithmic)")


def accuracy_plot(names: Sequence[str], sizes: Sequence[int], errors: Sequence[float], dense: Sequence[float]) -> str:
    """Test error against whole-file bytes, the dense network's error as a dashed line in the same colour."""
    with _rc():
        figure, axes = _figure(8, 4)
        for index, (name, size, error, before) in enumerate(zip(names, sizes, errors, dense, strict=True)):
            colour = _COLOURS[index % len(_COLOURS)]
            axes.axhline(before, color=colour, linestyle="--", linewidth=1, alpha=0.6)
            axes.plot(size, error, "o", color=colour, label=name)
        axes.set_xscale("log")
        axes.set_xlabel("whole file, bytes (logarithmic)")
        axes.set_ylabel("test error, %")
        axes.set_ylim(0, 1.2 * max(*errors, *dense, 0.1))
        axes.xaxis.set_major_formatter(lambda value, _: _plain(value))
        axes.xaxis.set_minor_formatter(lambda value, _: _plain(value) if f"{value:e}"[0] in "25" else "")
        axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
        return _data_uri(figure)


def layers_plot(layers: Sequence[str], speedups: Mapping[str, Sequence[float]]) -> str:
    """Grouped bars, a group a layer: the fastest dense kernel's time over every kernel's (NaN: no bar)."""
    with _rc():
        figure, axes = _figure(10.5, 3.8)
        width = 0.8 / max(1, len(speedups))
        for number, (kernel, values) in enumerate(speedups.items()):
            places = [index - 0.4 + width * (number + 0.5) for index in range(len(layers))]
            colour = _COLOURS[number % len(_COLOURS)]
            heights = [value - 1 for value in values]
            axes.bar(places, heights, bottom=1, width=width * 0.92, color=colour, label=kernel)
        axes.axhline(1, color="#1b1f24", linewidth=0.8)
        axes.set_xticks(range(len(layers)), layers)
        axes.set_yscale("log")
        axes.set_ylabel("times as fast as the fastest dense kernel")
        axes.yaxis.set_major_formatter("{x:g}×")
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}×" if f"{value:e}"[0] in "25" else "")
        axes.legend(frameon=False, fontsize=9, ncols=4)
        return _data_uri(figure)
