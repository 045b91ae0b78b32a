"""`compress search` and `compress sensitivity`: sparsity and bits of every layer, chosen on held-out images."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.errors import UsageError
from compress.sizes import parse_size
from deep_compress.commands.common import DataDir, Json, Quiet, table_console, whole_number
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
)

if TYPE_CHECKING:
    from deep_compress.search.run import SearchResult
    from deep_compress.search.scan import Scan

__all__ = ["search", "sensitivity"]


def search(
    max_drop: Annotated[
        str | None, typer.Option(help="smallest file that loses at most so many points of accuracy", metavar="POINTS")
    ] = None,
    target_size: Annotated[
        str | None, typer.Option(help="most accurate file of at most this size, such as 8kB", metavar="SIZE")
    ] = None,
    trials: Annotated[str, typer.Option(help="short compressions that are tried", metavar="N")] = "30",
    trial_epochs: Annotated[str, typer.Option(help="epochs of retraining in each", metavar="N")] = "1",
    finalists: Annotated[str, typer.Option(help="compressed in full to choose from, at most", metavar="N")] = "6",
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
    full_run: Annotated[bool, typer.Option("--run/--no-run", help="run the chosen recipe, or stop at it")] = True,
    force: Annotated[
        bool, typer.Option("--force", help="replace an earlier search's result in the same place")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Choose sparsity and bits of every layer for a loss of accuracy or a size.

    A sensitivity scan, short trials that optuna proposes, then the best of
    them in full; all on held-out images. The chosen recipe is then run, and
    the test images read once.

    Writes into DIR: recipe.yaml (the chosen one), front.png, sensitivity.png,
    trials.csv, search.json, dense.safetensors, and run/ with the files of a
    full run. After an interruption, the same command goes on.

    Example: compress search --max-drop 0.1
    """
    from deep_compress.search.goal import Goal

    goal = Goal(
        max_drop=None if max_drop is None else _number("max-drop", max_drop),
        target_bytes=None if target_size is None else parse_size(target_size),
    )
    recipe = recipe_of(
        recipe_file,
        settings,
        {
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
        },
    )
    from deep_compress.console import Reporter
    from deep_compress.search.run import run_search

    with Reporter(quiet=quiet) as observer:
        result = run_search(
            recipe,
            goal,
            directory=out,
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            trials=whole_number("trials", trials),
            trial_epochs=whole_number("trial-epochs", trial_epochs),
            finalists=whole_number("finalists", finalists),
            full_run=full_run,
            force=force,
            observer=observer,
        )
    if as_json:
        run = None if result.run is None else result.run.to_json()
        print(json.dumps({**result.summary, "recipe": result.recipe.flat(), "run": run}, indent=1))
    elif not quiet:
        _show_search(result)


def sensitivity(
    sparsities: Annotated[
        str | None, typer.Option(help="tried for every layer", metavar="S,S,…", show_default="0.5 to 0.99")
    ] = None,
    bits: Annotated[
        str | None, typer.Option(help="tried for every layer's codes", metavar="N,N,…", show_default="1 to 8")
    ] = None,
    network: Network = None,
    data: Data = None,
    data_dir: DataDir = None,
    checkpoint: Checkpoint = None,
    seed: Seed = None,
    epochs: Epochs = None,
    initialisation: Initialisation = None,
    settings: Set = None,
    recipe_file: RecipeFile = None,
    out: RunDirectory = None,
    device: TrainingDevice = "auto",
    force: Annotated[bool, typer.Option("--force", help="replace an earlier scan in the same place")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure what each layer costs when it alone is pruned, or shared in fewer bits.

    Without retraining, on held-out images.

    Writes into DIR: sensitivity.png, sensitivity.csv, sensitivity.json,
    dense.safetensors (the network that was scanned).

    Example: compress sensitivity --checkpoint net.safetensors
    """
    recipe = recipe_of(
        recipe_file,
        settings,
        {"network": network, "data": data, "seed": seed, "epochs": epochs, "initialisation": initialisation},
    )
    chosen: dict[str, Any] = {}
    if sparsities is not None:
        chosen["sparsities"] = [_number("sparsities", text) for text in sparsities.split(",")]
    if bits is not None:
        chosen["bits"] = [whole_number("bits", text.strip()) for text in bits.split(",")]
    from deep_compress.console import Reporter
    from deep_compress.search.sensitivity import as_json as plain
    from deep_compress.search.sensitivity import run_sensitivity

    with Reporter(quiet=quiet) as observer:
        directory, found = run_sensitivity(
            recipe,
            directory=out,
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            force=force,
            observer=observer,
            **chosen,
        )
    if as_json:
        print(json.dumps(plain(found), indent=1))
    elif not quiet:
        _show_scan(directory, found)


def _number(option: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise UsageError(f"{option}: found {text!r}, allowed a number") from error
    if number != number or abs(number) == float("inf"):
        raise UsageError(f"{option}: found {text!r}, allowed a number")
    return number


def _show_search(result: "SearchResult") -> None:
    from rich.table import Table

    from deep_compress.jobs.run_report import run_lines

    console, summary = table_console(), result.summary
    dense, chosen = summary["dense"]["held_out_percent"], summary["chosen"]
    table = Table(title="Short trials: the front; and what was compressed in full")
    for column in ("", "bytes", "held-out %", "to dense", "sparsity"):
        table.add_column(column, justify="left" if not column else "right")
    for kind, entries in (("short", summary["front"]), ("full", summary["finalists"])):
        for entry in entries:
            percent = entry["held_out_percent"]
            table.add_row(
                f"{kind}, chosen" if entry == chosen and kind == "full" else kind,
                f"{entry['file_bytes']:,}",
                f"{percent:.2f}",
                f"{percent - dense:+.2f}",
                f"{entry['sparsity']:.4f}",
            )
        table.add_section()
    console.print(table)
    table = Table(title="The chosen recipe")
    for column in ("layer", "sparsity", "bits"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    for layer, values in chosen["layers"].items():
        table.add_row(layer, f"{values['sparsity']:.4f}", str(values["bits"]))
    console.print(table)
    for line in run_lines(result.run) if result.run is not None else ():
        console.print(line, markup=False)
    console.print(f"files in {result.directory}: {_names(result.directory)}", markup=False)


def _show_scan(directory: Path, found: "Scan") -> None:
    from rich.table import Table

    console = table_console()
    first = next(iter(found.layers.values()))
    for title, unit, values in (
        ("One layer alone pruned: held-out %", "", [str(value) for value in first.pruned]),
        ("One layer alone shared: held-out %", " bits", [str(value) for value in first.shared]),
    ):
        if not values:
            continue
        table = Table(title=title, caption=f"dense: {found.dense:.2f} %")
        table.add_column("layer")
        for column in ("weights", *(f"{value}{unit}" for value in values)):
            table.add_column(column, justify="right")
        for name, layer in found.layers.items():
            percents = (layer.shared if unit else layer.pruned).values()
            table.add_row(name.removesuffix(".weight"), f"{layer.weights:,}", *(f"{value:.2f}" for value in percents))
        console.print(table)
    console.print(f"files in {directory}: {_names(directory)}", markup=False)


def _names(directory: Path) -> str:
    return ", ".join(sorted(path.name for path in directory.iterdir()))
