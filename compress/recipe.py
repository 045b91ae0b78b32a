"""The one frozen configuration of a run, where the command line, a YAML file and a library's caller meet."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from compress.datasets import DATASETS
from compress.errors import UsageError
from compress.networks import NETWORKS
from compress.prune import CRITERIA, SCHEDULES
from compress.representation import MAX_BITS
from compress.share import INITIALISATIONS

__all__ = ["DEFAULT_BITS", "Recipe", "known_name", "load_recipe", "parse_bits"]

DEFAULT_BITS = 5
"""Bits of a code where a recipe names other layers only."""

_MAX_RECIPE_BYTES = 1 << 20


def known_name(what: str, name: str, allowed: Iterable[str]) -> str:
    """Return `name`, or raise `UsageError` that names the nearest of `allowed`."""
    choices = list(allowed)
    if name in choices:
        return name
    near = get_close_matches(name, choices, n=1)
    hint = f", nearest: {near[0]}" if near else ""
    raise UsageError(f"{what}: found {name!r}, allowed {', '.join(choices)}{hint}")


def parse_bits(value: Any) -> Any:
    """Read bits from a number, a mapping, or the command line's form `5`, `conv=8,fc=5`, `5,c1=8`.

    >>> parse_bits("5"), parse_bits("conv=8,fc=5"), parse_bits("5,c1=8")
    ({'default': 5}, {'conv': 8, 'fc': 5}, {'default': 5, 'c1': 8})
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    bits: dict[str, int] = {}
    for part in str(value).split(","):
        key, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals:
            key, number = "default", key
        if not key or key in bits or not number.isdecimal():
            raise ValueError(f"found {value!r}, allowed a number, or layer=number pairs such as conv=8,fc=5")
        bits[key] = int(number)
    return bits


def _check_bits(bits: dict[str, int]) -> dict[str, int]:
    for key, number in bits.items():
        if not 1 <= number <= MAX_BITS:
            where = "" if key == "default" else f" for {key}"
            raise ValueError(f"found {number}{where}, allowed 1 to {MAX_BITS}")
    return dict(bits)


def _one_of(registry: Mapping[str, object]) -> Callable[[str], str]:
    def check(name: str) -> str:
        try:
            return known_name("", name, registry)
        except UsageError as error:
            raise ValueError(str(error).removeprefix(": ")) from error

    return check


Epochs = Annotated[int, Field(ge=0, le=10_000)]
LearningRate = Annotated[float, Field(gt=0, le=100)]


class Recipe(BaseModel):
    """What a run does. Frozen; checks itself; the same recipe, seed, machine and versions give the same files."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: Annotated[str, AfterValidator(_one_of(NETWORKS))] = Field("lenet-5", description="network of the zoo")
    data: Annotated[str, AfterValidator(_one_of(DATASETS))] = Field("mnist", description="data set")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="seed of everything random")
    held_out: Annotated[int, Field(ge=1)] = Field(5000, description="training examples kept for every choice")
    limit: Annotated[int, Field(ge=0)] = Field(
        0, description="use only so many training examples, held-out ones included; 0 for all"
    )
    batch_size: Annotated[int, Field(ge=1, le=1 << 20)] = Field(128, description="examples a training step")
    shift: Annotated[int, Field(ge=0, le=64)] = Field(2, description="training images move by up to so many pixels")
    epochs: Epochs = Field(8, description="epochs of dense training")
    learning_rate: LearningRate = Field(0.1, description="highest learning rate of dense training")
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = Field(5e-4, description="L2 penalty in training and retraining")
    sparsity: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="fraction of the weights that is pruned")
    criterion: Annotated[str, AfterValidator(_one_of(CRITERIA))] = Field(
        "l1", description=f"what scores a weight: {', '.join(CRITERIA)}"
    )
    schedule: Annotated[str, AfterValidator(_one_of(SCHEDULES))] = Field(
        "cubic", description=f"how sparsity rises: {', '.join(SCHEDULES)}"
    )
    rounds: Annotated[int, Field(ge=1, le=1000)] = Field(4, description="rounds of pruning")
    round_epochs: Epochs = Field(1, description="epochs of retraining after every round but the last")
    retrain_epochs: Epochs = Field(6, description="epochs of retraining after the last round")
    retrain_learning_rate: LearningRate = Field(0.03, description="highest learning rate of retraining")
    bits: Annotated[dict[str, int], BeforeValidator(parse_bits), AfterValidator(_check_bits)] = Field(
        {"default": DEFAULT_BITS}, description="bits of a code, by layer, by kind (conv, fc), or default"
    )
    initialisation: Annotated[str, AfterValidator(_one_of(INITIALISATIONS))] = Field(
        "linear", description=f"where k-means starts: {', '.join(INITIALISATIONS)}"
    )
    tune_epochs: Epochs = Field(2, description="epochs of tuning the centroids")
    tune_learning_rate: LearningRate = Field(1e-4, description="highest learning rate of tuning the centroids")
    half: bool = Field(True, description="round biases of coded layers and centroids to half precision")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Build a recipe from names and values.

        Raises
        ------
        UsageError
            One line for the first field that is unknown or outside what is allowed.
        """
        for name in values:
            known_name("recipe", str(name), cls.model_fields)
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = str(first["loc"][0])
            option = field.replace("_", "-")
            text = str(first["msg"]).removeprefix("Value error, ")
            if first["type"] != "value_error":
                text = f"found {first['input']!r}, allowed {cls._allowed(field)}"
            raise UsageError(f"{option}: {text}") from error

    @classmethod
    def _allowed(cls, field: str) -> str:
        kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}
        info = cls.model_fields[field]
        kind = next((text for of, text in kinds.items() if of is info.annotation), None)
        if kind is None:
            return "a whole number from 1 to 8, or layer=number pairs such as conv=8,fc=5"
        words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
        limits = [
            f"{word} {getattr(rule, key):g}"
            for rule in info.metadata
            for key, word in words.items()
            if hasattr(rule, key)
        ]
        return " ".join([kind, " and ".join(limits)]).strip()

    def bits_of(self, name: str, shape: tuple[int, ...]) -> int:
        """Bits for a parameter: by its layer's name if given, else by kind (conv or fc), else the default."""
        kind = "conv" if len(shape) > 2 else "fc"
        layer = name.removesuffix(".weight")
        return self.bits.get(layer, self.bits.get(kind, self.bits.get("default", DEFAULT_BITS)))

    def flat(self) -> dict[str, Any]:
        """All fields as plain values; `bits` is a number where it is the same for every layer."""
        fields = self.model_dump()
        if set(self.bits) == {"default"}:
            fields["bits"] = self.bits["default"]
        return fields

    def changed(self) -> dict[str, Any]:
        """Only the fields that differ from the defaults."""
        defaults = Recipe().flat()
        return {name: value for name, value in self.flat().items() if value != defaults[name]}

    def to_yaml(self) -> str:
        """The whole recipe as YAML, field by field."""
        import yaml

        return str(yaml.safe_dump(self.flat(), sort_keys=False, default_flow_style=False))

    def run_name(self) -> str:
        """Name of the run: network, data, sparsity, bits.

        >>> Recipe().run_name()
        'lenet-5-mnist-s0.9-b5'
        """
        if set(self.bits) == {"default"}:
            bits = str(self.bits["default"])
        else:
            bits = "-".join(f"{key}{number}" for key, number in self.bits.items())
        return f"{self.network}-{self.data}-s{self.sparsity:g}-b{bits}"


def load_recipe(path: Path) -> dict[str, Any]:
    """Read the fields that a YAML file gives; `Recipe.of` checks them.

    Raises
    ------
    UsageError
        The file cannot be read, is no YAML, or is no flat mapping.
    """
    import yaml

    try:
        with path.open("rb") as file:
            content = file.read(_MAX_RECIPE_BYTES + 1)
        if len(content) > _MAX_RECIPE_BYTES:
            raise UsageError(f"{path}: found more than {_MAX_RECIPE_BYTES} bytes, allowed a recipe")
        fields = yaml.safe_load(content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(f"{path}: found no valid YAML ({first}), allowed a recipe") from error
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise UsageError(f"{path}: found no mapping of fields to values, allowed a recipe such as --dry-run prints")
    return fields
