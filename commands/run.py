"""`compress run`: the whole job."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.common import DataDir, Json, Quiet, comma_separated, parse_settings, table_console
from compress.recipe import Recipe, load_recipe

__all__ = ["recipe_option", "run"]


def recipe_option(name: str, *, metavar: str = "VALUE") -> Any:
    """An option that sets a field of the recipe, with the field's own description and default."""
    return typer.Option(
        f"--{name.replace('_', '-')}",
        help=Recipe.model_fields[name].description,
        metavar=metavar,
        show_default=str(Recipe().flat()[name]),
    )


def run(
    sparsity: Annotated[str | None, recipe_option("sparsity")] = None,
    bits: Annotated[str | None, recipe_option("bits", metavar="N|layer=N,…")] = None,
    network: Annotated[str | None, recipe_option("network", metavar="NAME")] = None,
    data: Annotated[str | None, recipe_option("data", metavar="NAME")] = None,
    data_dir: DataDir = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="trained weights (safetensors) in place of dense training", metavar="FILE")
    ] = None,
    seed: Annotated[str | None, recipe_option("seed")] = None,
    epochs: Annotated[str | None, recipe_option("epochs")] = None,
    criterion: Annotated[str | None, recipe_option("criterion", metavar="NAME")] = None,
    schedule: Annotated[str | None, recipe_option("schedule", metavar="NAME")] = None,
    rounds: Annotated[str | None, recipe_option("rounds")] = None,
    retrain_epochs: Annotated[str | None, recipe_option("retrain_epochs")] = None,
    initialisation: Annotated[str | None, recipe_option("initialisation", metavar="NAME")] = None,
    tune_epochs: Annotated[str | None, recipe_option("tune_epochs")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="any other field of the recipe (see --dry-run), repeatable", metavar="NAME=VALUE"),
    ] = None,
    recipe_file: Annotated[
        Path | None, typer.Option("--recipe", help="YAML file of fields; options win over it", metavar="FILE")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="where the files go", metavar="DIR", show_default="runs/NAME"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda: where it is trained", metavar="NAME")] = "auto",
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
    values: dict[str, Any] = load_recipe(recipe_file) if recipe_file else {}
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
    values.update({name: value for name, value in given.items() if value is not None})
    values.update(parse_settings(settings))
    recipe = Recipe.of(values)
    if dry_run:
        print(json.dumps(recipe.flat(), indent=1) if as_json else recipe.to_yaml(), end="\n" if as_json else "")
        return
    import jobs
    from console import Reporter

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
        print(json.dumps(result.report, indent=1))
    elif not quiet:
        _show_run(result.directory, result.report)


def _show_run(directory: Path, report: Mapping[str, Any]) -> None:
    from compress.report import layer_table, rows_from_json, run_lines

    console = table_console()
    console.print(layer_table(rows_from_json(report["layers"])))
    for line in run_lines(report):
        console.print(line, markup=False)
    console.print(f"files in {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}", markup=False)
