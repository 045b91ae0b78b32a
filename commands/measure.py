"""The commands of `bench`: size, latency."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.common import Files, Json, Quiet, table_console, whole_number

__all__ = ["latency", "size"]


def size(files: Files = None, quiet: Quiet = False, as_json: Json = False) -> None:
    """Compare whole files with what the same weights come to in everyday formats."""
    import jobs
    from bench.size import render_size
    from console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        report = jobs.bench_size(files or [], observer)
    _print(report, render_size, as_json=as_json)


def latency(
    files: Files = None,
    runtimes: Annotated[str | None, typer.Option(help="names, comma-separated, or all", metavar="NAMES")] = None,
    batch_size: Annotated[str, typer.Option(help="images a call, comma-separated", metavar="N,…")] = "1,64",
    threads: Annotated[str, typer.Option(help="threads of every runtime", metavar="N")] = "1",
    device: Annotated[str, typer.Option(help="cpu or cuda", metavar="NAME")] = "cpu",
    warm_up: Annotated[str, typer.Option(help="calls before the first counted one", metavar="N")] = "50",
    iterations: Annotated[str, typer.Option(help="counted calls", metavar="N")] = "1000",
    rounds: Annotated[str, typer.Option(help="rounds over which all contestants take turns", metavar="N")] = "20",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="JSON file for all raw samples",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Time the dense and the compressed network side by side, samples of all contestants interleaved."""
    import jobs
    from bench.render import render_latency
    from console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        report, written = jobs.bench_latency(
            files or [],
            out=out,
            observer=observer,
            runtimes=tuple(runtimes.split(",")) if runtimes else (),
            batch_sizes=tuple(whole_number("batch-size", part) for part in batch_size.split(",")),
            threads=whole_number("threads", threads),
            device=device,
            warm_up=whole_number("warm-up", warm_up),
            iterations=whole_number("iterations", iterations),
            rounds=whole_number("rounds", rounds),
        )
    _print(report, render_latency, as_json=as_json)
    if not as_json:
        print(f"raw samples: {written}")


def _print(report: Any, render: Callable[[Any], Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        table_console().print(render(report))
