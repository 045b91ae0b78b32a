"""Results of `bench latency` and `bench layers` as tables for a terminal."""

from typing import TYPE_CHECKING

from bench.latency_values import LatencyReport, Measurement
from bench.layers_values import LayersReport
from bench.summary import UNSTABLE_RULE

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

__all__ = ["format_ns", "render_latency", "render_layers"]


def format_ns(value: float | None) -> str:
    """A time in the unit that suits it, three figures.

    >>> format_ns(4512.0), format_ns(93_400_000), format_ns(None)
    ('4.51 µs', '93.4 ms', '–')
    """
    if value is None:
        return "–"
    for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value / scale < 1000 else f"{value / scale:.0f} {unit}"
    return f"{value:.0f} ns"


def _mebibytes(value: int | None) -> str:
    return "–" if value is None else f"{value / 2**20:.0f} MiB"


def _times(report: LatencyReport, batch_size: int) -> "Table":
    from rich.table import Table

    table = Table(title=f"Latency of one call, batch {batch_size}, {report.config.threads} thread(s)")
    table.add_column("file", overflow="fold")
    table.add_column("runtime")
    for name in ("p50", "p75", "p90", "p95", "p99", "mean", "std", "images/s", "calls"):
        table.add_column(name, justify="right")
    table.add_column("")
    for measurement in report.measurements:
        summary = measurement.summary
        if measurement.batch_size != batch_size or summary is None:
            continue
        times = (summary.p50_ns, summary.p75_ns, summary.p90_ns, summary.p95_ns, summary.p99_ns, summary.mean_ns,
                 summary.std_ns)  # fmt: skip
        table.add_row(
            measurement.label,
            measurement.runtime,
            *(format_ns(value) for value in times),
            f"{summary.throughput_per_s:,.0f}",
            f"{measurement.warm_up_done}+{summary.samples}",
            "may be unstable" if summary.unstable else "",
        )
    return table


def _start(report: LatencyReport, batch_size: int) -> "Table":
    from rich.table import Table

    table = Table(title=f"Start in a fresh process, batch {batch_size}")
    table.add_column("file", overflow="fold")
    table.add_column("runtime")
    for name in ("import", "load", "first inference", "peak memory", "of which Python", "difference"):
        table.add_column(name, justify="right")
    on_gpu = report.config.device == "cuda"
    if on_gpu:
        table.add_column("peak GPU memory", justify="right")
    for measurement in report.measurements:
        if measurement.batch_size != batch_size or measurement.load_ns is None:
            continue
        table.add_row(
            measurement.label,
            measurement.runtime,
            format_ns(measurement.import_ns),
            format_ns(measurement.load_ns),
            format_ns(measurement.first_inference_ns),
            _mebibytes(measurement.peak_bytes),
            _mebibytes(measurement.interpreter_bytes),
            "–" if measurement.error is None else f"{measurement.error:.1e}",
            *([_mebibytes(measurement.device_peak_bytes)] if on_gpu else []),
        )
    return table


def render_layers(report: LayersReport) -> "Group":
    """The layers, the densities at which CSR overtakes, and what may be unstable."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    settings = report.config
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
        known = (item.layer.label, "random" if item.layer.weight is None else "real", f"{item.layer.density:.1%}",
                 str(item.batch_size), item.kernel)  # fmt: skip
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


def _remarks(measurement: Measurement) -> list[str]:
    who = f"{measurement.label} in {measurement.runtime}, batch {measurement.batch_size}"
    if measurement.status != "measured":
        return [f"{who}: {measurement.status}: {measurement.reason}"]
    assert measurement.summary is not None
    return [f"{who}: may be unstable: {reason}" for reason in measurement.summary.unstable]


def render_latency(report: LatencyReport) -> "Group":
    """All tables of a run, then what was not measured and what may be unstable, each with its reason."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Table | Text] = []
    for batch_size in report.config.batch_sizes:
        parts += [_times(report, batch_size), _start(report, batch_size)]
    parts += [Text(line) for measurement in report.measurements for line in _remarks(measurement)]
    if any(measurement.summary and measurement.summary.unstable for measurement in report.measurements):
        parts.append(Text(UNSTABLE_RULE))
    return Group(*parts)
