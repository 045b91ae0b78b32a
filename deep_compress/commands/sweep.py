"""`compress sweep`: every point of some axes, or a named study, as full runs."""

from pathlib import Path
from typing import Annotated

import typer

from compress.errors import UsageError
from deep_compress.commands.common import Quiet, parse_settings, whole_number

__all__ = ["sweep"]


def sweep(
    axes: Annotated[str, typer.Argument(help="YAML file of axes, or a study: study-a to study-e, han", metavar="AXES")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="where everything goes", metavar="DIR", show_default="runs/NAME")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="only the points with this value on this axis, repeatable", metavar="AXIS=VALUE"),
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option("--set", help="a field of the recipe for all points, repeatable", metavar="NAME=VALUE"),
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

    Examples: compress sweep han --workers 2

    compress sweep study-e --only data=mnist --set limit=6000 -o short
    """
    from deep_compress.console import Reporter
    from deep_compress.studies import Settings, run_sweep

    settings = Settings(
        workers=int(workers) if workers.isdecimal() else workers,
        threads=whole_number("threads", threads),
        device=device,
        data_dirs={name: Path(path) for name, path in _pairs("data-dir", "NAME=PATH", data_dir)},
        ray_address=ray_address,
    )
    with Reporter(quiet=quiet) as reporter:
        directory, outcomes = run_sweep(
            axes,
            only=_pairs("only", "AXIS=VALUE", only),
            changes=parse_settings(changed),
            out=out,
            settings=settings,
            observer=reporter,
        )
    print(f"{len(outcomes)} points in {directory}")


def _pairs(option: str, form: str, texts: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option}: found {text!r}, allowed {form}")
        pairs.append((name, value))
    return pairs
