"""The commands of `bench`: size, latency, layers, energy, report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from deep_compress.commands.common import (
    BatchSizes,
    Files,
    Json,
    Quiet,
    RawResults,
    Runtimes,
    Threads,
    TimedDevice,
    comma_separated,
    table_console,
    whole_number,
)

__all__ = ["energy", "latency", "layers", "report", "size"]


def size(files: Files = None, quiet: Quiet = False, as_json: Json = False) -> None:
    """Compare whole files with what the same weights come to in everyday formats."""
    from bench.size import render_size
    from deep_compress import jobs
    from deep_compress.console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        report = jobs.bench_size(files or [], observer)
    _print(report, render_size, as_json=as_json, quiet=quiet)


def latency(
    files: Files = None,
    runtimes: Runtimes = None,
    batch_size: BatchSizes = "1,64",
    threads: Threads = "1",
    device: TimedDevice = "cpu",
    warm_up: Annotated[str, typer.Option(help="calls before the first counted one", metavar="N")] = "50",
    iterations: Annotated[str, typer.Option(help="counted calls", metavar="N")] = "1000",
    rounds: Annotated[str, typer.Option(help="rounds over which all contestants take turns", metavar="N")] = "20",
    out: RawResults = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Time the dense and the compressed network side by side, samples of all contestants interleaved."""
    from bench.latency.tables import render_latency
    from deep_compress import jobs
    from deep_compress.console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        report, written = jobs.bench_latency(
            files or [],
            out=out,
            observer=observer,
            runtimes=comma_separated(runtimes or ""),
            **_conditions(batch_size, threads, device),
            warm_up=whole_number("warm-up", warm_up),
            iterations=whole_number("iterations", iterations),
            rounds=whole_number("rounds", rounds),
        )
    _print(report, render_latency, as_json=as_json, quiet=quiet, written=written)


def layers(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILES]", help="networks whose own layers are taken", show_default="AlexNet's, VGG-16's"
        ),
    ] = None,
    batch_size: BatchSizes = "1,64",
    threads: Threads = "1",
    device: TimedDevice = "cpu",
    crossover: Annotated[
        bool, typer.Option(help="look for the density at which sparse overtakes dense on this machine")
    ] = True,
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file for all raw samples", metavar="FILE")] = Path(
        "layers.json"
    ),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare fully connected layers dense and in CSR, as figures 9 and 10 of Deep Compression do."""
    from bench.layers.tables import render_layers
    from deep_compress import jobs
    from deep_compress.console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        report, written = jobs.bench_layers(
            files or [],
            out=out,
            observer=observer,
            **_conditions(batch_size, threads, device),
            crossover=crossover,
        )
    _print(report, render_layers, as_json=as_json, quiet=quiet, written=written)


def energy(
    files: Files = None,
    runtimes: Runtimes = None,
    batch_size: BatchSizes = "1,64",
    threads: Threads = "1",
    device: TimedDevice = "cpu",
    seconds: Annotated[str, typer.Option(help="how long every contestant runs", metavar="S")] = "10",
    out: RawResults = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure joules an image by the machine's own counter (RAPL, NVML), or say why that cannot be done."""
    from bench.energy import render_energy
    from deep_compress import jobs
    from deep_compress.console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        report, written = jobs.bench_energy(
            files or [],
            seconds=float(whole_number("seconds", seconds)),
            out=out,
            observer=observer,
            runtimes=comma_separated(runtimes or ""),
            **_conditions(batch_size, threads, device),
        )
    _print(report, render_energy, as_json=as_json, quiet=quiet, written=written)


def report(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILES]", help="runs, or JSON files of bench", show_default="the newest run"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="the page", metavar="FILE", show_default="report.html in the first run"),
    ] = None,
) -> None:
    """Join size, accuracy and latency into one HTML page that needs no network."""
    from deep_compress import jobs

    print(jobs.bench_report(files or [], out))


def _conditions(batch_size: str, threads: str, device: str) -> dict[str, Any]:
    """What all contestants are measured under."""
    return {
        "batch_sizes": tuple(whole_number("batch-size", part) for part in comma_separated(batch_size)),
        "threads": whole_number("threads", threads),
        "device": device,
    }


def _print(
    report: Any, render: Callable[[Any], Any], *, as_json: bool, quiet: bool, written: Path | None = None
) -> None:
    if as_json:
        print(json.dumps(report.to_json(), indent=1))
    elif not quiet:
        table_console().print(render(report))
        if written:
            print(f"raw results: {written}")
