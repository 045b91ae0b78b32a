"""Whether the points of a sweep can run at all, found out before the first of them trains."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from compress.datasets import load_dataset
from compress.errors import CompressError, UsageError
from compress.names import known_layers
from compress.recipe.recipe import Recipe
from deep_compress.jobs.prepare import count_examples
from deep_compress.studies.axes import Point

__all__ = ["check_points"]


def check_points(points: Sequence[Point], data_dirs: Mapping[str, Path], device: str) -> None:
    """Read every data set, build every network for it, and hold the recipes against them.

    Parameters
    ----------
    points : sequence of Point
    data_dirs : mapping of str to Path
        Data set, as the points name it → its directory.
    device : str
        auto, cpu or cuda.

    Raises
    ------
    UsageError
        One line for everything that is wrong with the device, the networks and the recipes.
    CompressError
        The same, where data is at fault.
    """
    from compress.networks.weights import choose_device

    errors: list[CompressError] = []
    try:
        choose_device(device)
    except UsageError as error:
        errors.append(error)
    for data in dict.fromkeys(point.recipe.data for point in points):
        recipes = [point.recipe for point in points if point.recipe.data == data]
        errors += _data_errors(data, recipes, data_dirs.get(data))
    if errors:
        kind = UsageError if all(isinstance(error, UsageError) for error in errors) else CompressError
        raise kind("\n".join(dict.fromkeys(str(error) for error in errors))) from errors[0]


def _data_errors(data: str, recipes: Sequence[Recipe], directory: Path | None) -> list[CompressError]:
    from compress.networks.resolve import resolve
    from compress.networks.weights import coded_parameters

    try:
        dataset = load_dataset(data, directory)
    except CompressError as error:
        return [error]
    errors: list[CompressError] = []
    coded: dict[str, tuple[str, ...]] = {}
    for recipe in recipes:
        try:
            if recipe.network not in coded:
                coded[recipe.network] = ()
                network = resolve(
                    recipe.network,
                    classes=dataset.classes,
                    channels=dataset.channels,
                    size=dataset.train.images.shape[2],
                )
                module = network.build()
                coded[recipe.network] = coded_parameters(module, network.graph(module))
            count_examples(recipe, dataset)
            if coded[recipe.network]:
                known_layers("bits", recipe.sharing.bits, coded[recipe.network])
                known_layers("layer-sparsity", recipe.pruning.layer_sparsity, coded[recipe.network])
                known_layers("quality", recipe.pruning.quality, coded[recipe.network])
        except CompressError as error:
            errors.append(error)
    return errors
