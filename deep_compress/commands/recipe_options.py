"""Options that set fields of the recipe, for the commands that train; and the recipe that they make together."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from compress.datasets import DATASETS
from compress.networks import NETWORKS
from compress.prune import CRITERIA, SCHEDULES
from compress.recipe.recipe import FIELDS, Recipe, load_recipe
from compress.share.k_means import INITIALISATIONS
from deep_compress.commands.common import offered, parse_settings

__all__ = [
    "Checkpoint",
    "Criterion",
    "Data",
    "Epochs",
    "Initialisation",
    "Network",
    "RecipeFile",
    "RetrainEpochs",
    "Rounds",
    "RunDirectory",
    "Schedule",
    "Seed",
    "Set",
    "TrainingDevice",
    "TuneEpochs",
    "recipe_of",
    "recipe_option",
]


def recipe_option(name: str, *, metavar: str = "VALUE", names: Iterable[str] = ()) -> Any:
    """An option that sets a field of the recipe, with the field's own description and default; shells offer `names`."""
    return typer.Option(
        f"--{name.replace('_', '-')}",
        help=FIELDS[name].description,
        metavar=metavar,
        show_default=str(Recipe().flat()[name]),
        autocompletion=offered(names) if names else None,
    )


Network = Annotated[str | None, recipe_option("network", metavar="NAME", names=NETWORKS)]
Data = Annotated[str | None, recipe_option("data", metavar="NAME", names=DATASETS)]
Seed = Annotated[str | None, recipe_option("seed")]
Epochs = Annotated[str | None, recipe_option("epochs")]
Criterion = Annotated[str | None, recipe_option("criterion", metavar="NAME", names=CRITERIA)]
Schedule = Annotated[str | None, recipe_option("schedule", metavar="NAME", names=SCHEDULES)]
Rounds = Annotated[str | None, recipe_option("rounds")]
RetrainEpochs = Annotated[str | None, recipe_option("retrain_epochs")]
Initialisation = Annotated[str | None, recipe_option("initialisation", metavar="NAME", names=INITIALISATIONS)]
TuneEpochs = Annotated[str | None, recipe_option("tune_epochs")]
Checkpoint = Annotated[
    Path | None, typer.Option(help="trained weights (safetensors) in place of dense training", metavar="FILE")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="any other field of the recipe (see compress run --dry-run), repeatable", metavar="NAME=VALUE"
    ),
]
RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="YAML file of fields; options win over it", metavar="FILE")
]
RunDirectory = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="where the files go", metavar="DIR", show_default="runs/NAME"),
]
TrainingDevice = Annotated[str, typer.Option(help="auto, cpu or cuda: where it is trained", metavar="NAME")]


def recipe_of(path: Path | None, settings: list[str] | None, given: Mapping[str, str | None]) -> Recipe:
    """The recipe of a file's fields, then the options that are given, then the settings; the later win.

    Raises
    ------
    UsageError
        A field that is unknown or outside what is allowed, or a file that cannot be read.
    """
    values: dict[str, Any] = load_recipe(path) if path else {}
    values.update({name: value for name, value in given.items() if value is not None})
    values.update(parse_settings(settings))
    return Recipe.of(values)
