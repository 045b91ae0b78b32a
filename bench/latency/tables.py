"""The results of `bench latency` as tables for a terminal."""

from typing import TYPE_CHECKING

from bench.latency.values import LatencyReport, Measurement
from bench.summary import UNSTABLE_RULE, format_ns

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

__all__ = ["render_latency"]


def _mebibytes(value: int | None) -> str:
    return "–" if value is None else f"{value / 2**20:.0f} MiB"


def _times(report: LatencyReport, batch_size: int) -> "Table":
    from rich.table import Table

    table = Table(title=f"Latency of one call, batch {batch_size}, {report.settings.threads} thread(s)")
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
    on_gpu = report.settings.device == "cuda"
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
    for batch_size in report.settings.batch_sizes:
        parts += [_times(report, batch_size), _start(report, batch_size)]
    parts += [Text(line) for measurement in report.measurements for line in _remarks(measurement)]
    if any(measurement.summary and measurement.summary.unstable for measurement in report.measurements):
        parts.append(Text(UNSTABLE_RULE))
    return Group(*parts)
