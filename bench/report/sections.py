"""What stands on the page: overview, size, latency, layers, energy, and the machines, each from its JSON files."""

from collections.abc import Sequence
from html import escape

from bench.energy import EnergyReport
from bench.environment import Environment
from bench.latency.values import LatencyReport, Measurement
from bench.layers.values import LayersReport
from bench.report.html import Cell, details, image, listing, section, table
from bench.report.plots import accuracy_plot, dot_plot, layers_plot, size_plot
from bench.report.results import Overview, Result
from bench.size import SizeReport
from bench.summary import Summary, format_ns

__all__ = ["sections"]

Section = tuple[str, str, str]


def _number(value: float | None, pattern: str, scale: float = 1.0) -> Cell:
    return Cell("–", "") if value is None else Cell(pattern.format(value / scale), value)


def _time(value: float | None) -> Cell:
    return Cell("–", "") if value is None else Cell(format_ns(value), value)


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def sections(results: "Sequence[Result]", lines: "Sequence[Overview]") -> list[Section]:
    """All parts of the page for which there are results."""
    found = [_overview(lines)] if lines else []
    sizes = [(item.group, item.report) for item in results if isinstance(item.report, SizeReport)]
    latencies = [(item.group, item.report) for item in results if isinstance(item.report, LatencyReport)]
    layers = [(item.group, item.report) for item in results if isinstance(item.report, LayersReport)]
    energies = [(item.group, item.report) for item in results if isinstance(item.report, EnergyReport)]
    found += [_size(*pair, number) for number, pair in enumerate(sizes)]
    found += [_latency(*pair, number) for number, pair in enumerate(latencies)]
    found += [_layers(*pair, number) for number, pair in enumerate(layers)]
    found += [_energy(*pair, number) for number, pair in enumerate(energies)]
    return [*found, _machines(results)]


def _overview(lines: "Sequence[Overview]") -> Section:
    rows = []
    for line in lines:
        faster = line.stock_ns / line.fastest_ns if line.stock_ns and line.fastest_ns else None
        rows.append(
            [
                Cell(line.group),
                _number(line.sparsity, "{:.3f}"),
                _number(line.file_bytes, "{:,.0f}"),
                _number(line.ratio, "{:.1f}×"),
                _number(line.dense_percent, "{:.2f} %"),
                _number(line.file_percent, "{:.2f} %"),
                _number(line.batch_size, "{:.0f}"),
                _time(line.stock_ns),
                _time(line.fastest_ns),
                Cell(line.fastest or "–"),
                _number(faster, "{:.1f}×"),
            ]
        )
    heads = ("run", "sparsity", "file, bytes", "ratio", "dense accuracy", "from the file", "batch", "onnxruntime",
             "fastest", "which", "speed")  # fmt: skip
    points = [line for line in lines if line.file_bytes and line.file_percent is not None]
    plot = ""
    if points:
        plot = image(
            accuracy_plot(
                [line.group for line in points],
                [int(line.file_bytes or 0) for line in points],
                [100 - float(line.file_percent or 0) for line in points],
                [100 - float(line.dense_percent or 0) for line in points],
            ),
            "Test error of every run against the bytes of its file; the table above holds the numbers.",
        )
    note = "Accuracy is that of the file, loaded from disk and run by onnxruntime on the test set. Ratios are complete "
    note += "dense float32 weights over the complete file. Times are p50 of one call: onnxruntime on the first file, "
    note += "the fastest contestant called from Python, and how many times as fast that is."
    return section("overview", "Overview", table(heads, rows), _note(note), plot)


def _size(group: str, report: SizeReport, number: int) -> Section:
    rows = [
        [
            Cell(row.label),
            Cell(row.counts),
            _number(row.payload_bytes, "{:,.0f}"),
            _number(row.ratio, "{:.2f}×"),
        ]
        for row in report.rows
    ]
    labels = [row.label for row in report.rows]
    plot = size_plot(labels, [row.payload_bytes for row in report.rows], [row.kind for row in report.rows])
    return section(
        f"size-{number}",
        f"Size: {group}",
        table(("what", "counts", "bytes", "ratio"), rows),
        _note(f"Ratios are against {report.dense_bytes:,} bytes of {report.against}."),
        image(plot, "Bytes of every line of the table above."),
    )


def _latency(group: str, report: LatencyReport, number: int) -> Section:
    settings, parts = report.settings, []
    for batch_size in settings.batch_sizes:
        measured = [(m, m.summary) for m in report.measurements if m.batch_size == batch_size and m.summary]
        if not measured:
            continue
        times = ("file", "runtime", "p50", "p75", "p90", "p95", "p99", "mean", "std", "images/s", "calls", "remark")
        start = ("file", "runtime", "import", "load", "first inference", "peak memory", "of which Python", "difference")
        labels = [f"{item.label} in {item.runtime}" for item, _ in measured]
        medians = [summary.p50_ns / 1000 for _, summary in measured]
        plot = dot_plot(labels, medians, [item.label for item, _ in measured], "p50 of one call, µs (logarithmic)")
        parts += [
            f"<h3>Batch size {batch_size}</h3>",
            table(times, [_times_row(item, summary) for item, summary in measured]),
            image(plot, f"p50 latency at batch size {batch_size}; the table above holds the numbers."),
            f"<h3>Start in a fresh process, batch size {batch_size}</h3>",
            table(start, [_start_row(item) for item, _ in measured]),
        ]
    left_out = [
        f"{m.label} in {m.runtime}, batch {m.batch_size}: {m.status}: {m.reason}"
        for m in report.measurements
        if not m.summary
    ]
    unstable = [
        f"{m.label} in {m.runtime}, batch {m.batch_size}: {reason}"
        for m in report.measurements
        for reason in (m.summary.unstable if m.summary else ())
    ]
    parts += ["<h3>Not measured</h3>" + listing(left_out) if left_out else ""]
    if unstable:
        parts += [
            details(
                f"{len(unstable)} reasons why a time may be unstable",
                listing(unstable) + _note(report.unstable_rule),
            )
        ]
    how = (
        f"Every contestant in a process of its own, on the {settings.device}, {settings.threads} thread(s); "
        f"{settings.warm_up} calls of warm-up, then up to {settings.iterations} counted calls in "
        f"{settings.rounds} rounds in which all contestants take turns; inputs {settings.inputs}. A time counts "
        "only where the output agrees with stock onnxruntime's."
    )
    return section(f"latency-{number}", f"Latency: {group}", _note(how), *parts)


def _times_row(item: Measurement, summary: Summary) -> list[Cell]:
    times = (summary.p50_ns, summary.p75_ns, summary.p90_ns, summary.p95_ns, summary.p99_ns, summary.mean_ns,
             summary.std_ns)  # fmt: skip
    return [
        Cell(item.label),
        Cell(item.runtime),
        *map(_time, times),
        _number(summary.throughput_per_s, "{:,.0f}"),
        _number(summary.samples, "{:,.0f}"),
        Cell("may be unstable" if summary.unstable else ""),
    ]


def _start_row(item: Measurement) -> list[Cell]:
    return [
        Cell(item.label),
        Cell(item.runtime),
        _time(item.import_ns),
        _time(item.load_ns),
        _time(item.first_inference_ns),
        _number(item.peak_bytes, "{:,.0f} MiB", 2**20),
        _number(item.interpreter_bytes, "{:,.0f} MiB", 2**20),
        _number(item.error, "{:.1e}"),
    ]


def _layers(group: str, report: LayersReport, number: int) -> Section:
    rows = [
        [
            Cell(f"{m.network} {m.layer}"),
            Cell(f"{m.inputs}×{m.outputs}"),
            Cell(m.weights),
            _number(m.density, "{:.1%}"),
            _number(m.batch_size, "{:.0f}"),
            Cell(m.kernel),
            _number(m.weight_bytes, "{:,.0f}"),
            _time(m.summary.p50_ns if m.summary else None),
            _time(m.summary.p99_ns if m.summary else None),
            _number(m.speedup, "{:.2f}×"),
            Cell(m.reason or ("may be unstable" if m.summary and m.summary.unstable else "")),
        ]
        for m in report.measurements
    ]
    heads = ("layer", "shape", "weights", "density", "batch", "kernel", "weight bytes", "p50", "p99",
             "against fastest dense", "remark")  # fmt: skip
    parts = [table(heads, rows)]
    for batch_size in report.settings.batch_sizes:
        measured = [m for m in report.measurements if m.batch_size == batch_size and m.speedup]
        layers = list(dict.fromkeys(f"{m.network}\n{m.layer}" for m in measured))
        kernels = list(dict.fromkeys(m.kernel for m in measured))
        known = {(f"{m.network}\n{m.layer}", m.kernel): m.speedup for m in measured if m.speedup}
        if measured:
            speedups = {kernel: [known.get((layer, kernel), float("nan")) for layer in layers] for kernel in kernels}
            parts += [
                f"<h3>Batch size {batch_size}</h3>",
                image(layers_plot(layers, speedups), f"Speed of each kernel a layer at batch size {batch_size}."),
            ]
    if report.crossovers:
        crossings = [
            [
                Cell(f"{c.inputs}×{c.outputs}"),
                _number(c.batch_size, "{:.0f}"),
                Cell(c.kernel),
                _overtaken(c.density),
            ]
            for c in report.crossovers
        ]
        parts += ["<h3>Density below which CSR overtakes</h3>"]
        parts += [table(("shape", "batch", "kernel", "faster below"), crossings)]
    settings = report.settings
    how = f"Fully connected layers alone, on the {settings.device}, {settings.threads} thread(s). Where weights "
    how += "are random, shapes and densities are those of Deep Compression (Han et al. 2016), the values are not."
    return section(f"layers-{number}", f"Layers: {group}", _note(how), *parts)


def _overtaken(density: float | None) -> Cell:
    if density is None:
        return Cell("never", 0.0)
    return Cell(f"{density:.1%}" if density < 0.5 else "at least 50%", density)


def _energy(group: str, report: EnergyReport, number: int) -> Section:
    rows = [
        [
            Cell(row.label),
            Cell(row.runtime),
            _number(row.batch_size, "{:.0f}"),
            _number(row.calls or None, "{:,.0f}"),
            _number(row.gross_joules or None, "{:.1f}"),
            _number(row.idle_joules or None, "{:.1f}"),
            _number(row.joules_an_image, "{:.3g}"),
            Cell(row.reason or ""),
        ]
        for row in report.rows
    ]
    heads = ("file", "runtime", "batch", "calls", "joules", "of which idle", "joules an image", "remark")
    note = f"{report.meter}; idle power {report.idle_watts:.1f} W, measured before, is subtracted."
    return section(f"energy-{number}", f"Energy: {group}", table(heads, rows), _note(note))


def _machines(results: "Sequence[Result]") -> Section:
    known: dict[str, str] = {}
    for result in results:
        if isinstance(result.report, LatencyReport | LayersReport | EnergyReport):
            lines = _machine_lines(result.report.environment)
            known.setdefault(listing(lines), f"{result.report.KIND}, {result.group}")
    parts = [f"<h3>{escape(name)}</h3>{text}" for text, name in known.items()]
    return section("machines", "Measured on", *(parts or [_note("No measurement names its machine.")]))


def _machine_lines(machine: Environment) -> list[str]:
    cpu = machine.cpu
    gpus = [", ".join(f"{name} {value}" for name, value in gpu.items()) for gpu in machine.gpus]
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return [
        f"processor: {cpu.model}, {cpu.logical_cores} cores, {cpu.usable_cores} of them usable",
        f"instruction sets: {' '.join(cpu.flags) or 'unknown'}",
        f"memory: {machine.memory_bytes / 2**30:.1f} GiB",
        *(f"GPU: {gpu}" for gpu in gpus or ["none"]),
        f"system: {machine.system}, {machine.python}, {machine.compiler or 'no compiler'}",
        f"packages: {packages}",
        f"load average before: {list(machine.load_average) if machine.load_average else None}",
    ]
