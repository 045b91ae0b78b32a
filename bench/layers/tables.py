"""The results of `bench layers` as tables for a terminal."""

from typing import TYPE_CHECKING

from bench.layers.values import LayersReport
from bench.summary import UNSTABLE_RULE, format_ns

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["render_layers"]


def render_layers(report: LayersReport) -> "Group":
    """The layers, the densities at which CSR overtakes, and what may be unstable."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    settings = report.settings
    table = Table(title=f"Fully connected layers on the {settings.device}, {settings.threads} thread(s)")
    for name in ("layer", "weights"):
        table.add_column(name, overflow="fold")
    for name in ("density", "batch"):
        table.add_column(name, justify="right")
    table.add_column("kernel")
    for name in ("weight bytes", "p50", "p99", "against fastest dense"):
        table.add_column(name, justify="right")
    table.add_column("")
    for item in report.measurements:
        label = f"{item.network} {item.layer} {item.inputs}×{item.outputs}"
        weights = "random" if item.weights == "random" else "real"
        known = (label, weights, f"{item.density:.1%}", str(item.batch_size), item.kernel)
        if item.summary is None:
            table.add_row(*known, "–", "–", "–", "–", f"{item.status}: {item.reason}")
            continue
        table.add_row(
            *known,
            f"{item.weight_bytes:,}",
            format_ns(item.summary.p50_ns),
            format_ns(item.summary.p99_ns),
            "–" if item.speedup is None else f"{item.speedup:.2f}×",
            "may be unstable" if item.summary.unstable else "",
        )
    overtakes = Table(title="Density below which CSR is faster than the fastest dense kernel")
    for name in ("shape", "batch", "kernel", "density"):
        overtakes.add_column(name, justify="left" if name == "kernel" else "right")
    for crossing in report.crossovers:
        found = "never" if crossing.density is None else f"{crossing.density:.1%}"
        shape = f"{crossing.inputs}×{crossing.outputs}"
        overtakes.add_row(shape, str(crossing.batch_size), crossing.kernel, found)
    parts: list[Table | Text] = [table, *([overtakes] if report.crossovers else [])]
    if any(item.summary and item.summary.unstable for item in report.measurements):
        parts.append(Text(UNSTABLE_RULE))
    return Group(*parts)
