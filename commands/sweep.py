"""`compress sweep`: every point of some axes, or a named study, as full runs."""

from pathlib import Path
from typing import Annotated

import typer

from commands.common import Quiet, whole_number
from compress.errors import UsageError

__all__ = ["sweep"]


def sweep(
    axes: Annotated[str, typer.Argument(help="YAML file of axes, or a study: study-a to study-e, han", metavar="AXES")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="where everything goes", metavar="DIR", show_default="runs/NAME")
    ] = None,
    workers: Annotated[str, typer.Option(help="processes on this machine, or ray", metavar="N|ray")] = "1",
    threads: Annotated[str, typer.Option(help="threads of every point", metavar="N")] = "1",
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster to join", metavar="ADDRESS", show_default="one on this machine")
    ] = None,
    data_dir: Annotated[
        list[str] | None, typer.Option(help="directory of a data set, repeatable", metavar="NAME=PATH")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda: where points are trained", metavar="NAME")] = "auto",
    quiet: Quiet = False,
) -> None:
    """Run every combination of some axes, or a named study, and write its tables and plots.

    A field of the recipe is an axis where the file gives it a list. Runs that
    are complete are not repeated: after an interruption the same command goes on.

    Writes into DIR: a directory a run, results.csv, seconds.csv, results.md,
    pareto.png; for a study also study.md and its plots.

    Example: compress sweep han --workers 2
    """
    from console import Reporter
    from studies import Settings, run_sweep

    directories: dict[str, Path] = {}
    for text in data_dir or ():
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UsageError(f"data-dir: found {text!r}, allowed NAME=PATH")
        directories[name] = Path(path)
    settings = Settings(
        workers=int(workers) if workers.isdecimal() else workers,
        threads=whole_number("threads", threads),
        device=device,
        data_dirs=directories,
        ray_address=ray_address,
    )
    with Reporter(quiet=quiet) as reporter:
        directory, outcomes = run_sweep(axes, out=out, settings=settings, observer=reporter)
    print(f"{len(outcomes)} points in {directory}")
