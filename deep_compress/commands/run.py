"""`compress run`: the whole job."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deep_compress.commands.common import DataDir, Json, Quiet, comma_separated, table_console
from deep_compress.commands.recipe_options import (
    Checkpoint,
    Criterion,
    Data,
    Epochs,
    Initialisation,
    Network,
    RecipeFile,
    RetrainEpochs,
    Rounds,
    RunDirectory,
    Schedule,
    Seed,
    Set,
    TrainingDevice,
    TuneEpochs,
    recipe_of,
    recipe_option,
)

if TYPE_CHECKING:
    from deep_compress.jobs.run_report import RunReport

__all__ = ["run"]


def run(
    sparsity: Annotated[str | None, recipe_option("sparsity")] = None,
    bits: Annotated[str | None, recipe_option("bits", metavar="N|layer=N,…")] = None,
    network: Network = None,
    data: Data = None,
    data_dir: DataDir = None,
    checkpoint: Checkpoint = None,
    seed: Seed = None,
    epochs: Epochs = None,
    criterion: Criterion = None,
    schedule: Schedule = None,
    rounds: Rounds = None,
    retrain_epochs: RetrainEpochs = None,
    initialisation: Initialisation = None,
    tune_epochs: TuneEpochs = None,
    settings: Set = None,
    recipe_file: RecipeFile = None,
    out: RunDirectory = None,
    device: TrainingDevice = "auto",
    targets: Annotated[
        str | None,
        typer.Option(
            help="files to write beside model.dcz, by the names of compress export; one ONNX target, and others",
            metavar="NAME,…",
            show_default="onnx,c",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace an earlier run in the same place")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the recipe and stop")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train, prune, share, code, pack, verify and export a network.

    Writes into DIR: model.dcz (the packed file), model.onnx (the weights coded;
    loads in stock runtimes), model.c and model.h (sparse C99, where the target
    knows all operators), dense.onnx and dense.safetensors (the network before
    compression), recipe.yaml, report.json, report.png.

    Example: compress run --sparsity 0.9 --bits 5
    """
    given = {
        "sparsity": sparsity,
        "bits": bits,
        "network": network,
        "data": data,
        "seed": seed,
        "epochs": epochs,
        "criterion": criterion,
        "schedule": schedule,
        "rounds": rounds,
        "retrain_epochs": retrain_epochs,
        "initialisation": initialisation,
        "tune_epochs": tune_epochs,
    }
    recipe = recipe_of(recipe_file, settings, given)
    if dry_run:
        print(json.dumps(recipe.flat(), indent=1) if as_json else recipe.to_yaml(), end="\n" if as_json else "")
        return
    from deep_compress import jobs
    from deep_compress.console import Reporter

    with Reporter(quiet=quiet) as observer:
        result = jobs.run(
            recipe,
            directory=out,
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            targets=None if targets is None else comma_separated(targets),
            force=force,
            observer=observer,
        )
    if as_json:
        print(json.dumps(result.report.to_json(), indent=1))
    elif not quiet:
        _show_run(result.directory, result.report)


def _show_run(directory: Path, report: "RunReport") -> None:
    from compress.report.layers import layer_table
    from deep_compress.jobs.run_report import run_lines

    console = table_console()
    console.print(layer_table(report.account))
    for line in run_lines(report):
        console.print(line, markup=False)
    console.print(f"files in {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}", markup=False)
