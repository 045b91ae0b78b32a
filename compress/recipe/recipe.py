"""The one frozen configuration of a run, where the command line, a YAML file and a library's caller meet."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from compress.datasets import DATASETS, canonical_data
from compress.errors import UsageError
from compress.names import known_name
from compress.networks.resolve import canonical_name
from compress.recipe.fields import by_layer, in_one_form, parse_bits
from compress.recipe.file import load_recipe
from compress.recipe.groups import DEFAULT_BITS, Examples, Group, Merging, Sharing, Training
from compress.recipe.pruning import Pruning

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["DEFAULT_BITS", "FIELDS", "ContradictionError", "Recipe", "known_name", "load_recipe", "parse_bits"]

_RATES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"lenet-5-caffe": MappingProxyType({"learning_rate": 0.05, "retrain_learning_rate": 0.02})}
)
"""Family of networks → the learning rates that it takes where a recipe names none: it diverges at the usual ones."""


class ContradictionError(UsageError):
    """Fields that are each allowed, and do not go together."""


class Recipe(Group):
    """What a run does. Frozen; checks itself; the same recipe, seed, machine and versions give the same files.

    Its fields are read in groups, `recipe.training.epochs`, and given and written flat: `Recipe(epochs=3)`, a line
    each in YAML, `flat()`. No two groups have a field of one name.
    """

    network: Annotated[str, AfterValidator(in_one_form("network", canonical_name))] = Field(
        "lenet-5", description="of the zoo, such as lenet-5(activation=tanh); torchvision:model; or module:callable"
    )
    data: Annotated[str, AfterValidator(in_one_form("data", canonical_data))] = Field(
        "mnist", description=f"data set: {', '.join(DATASETS)}; NAME:PATH tells where it lies"
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="seed of everything random")
    examples: Examples
    training: Training
    merging: Merging
    pruning: Pruning
    sharing: Sharing
    half: bool = Field(True, description="round biases of coded layers and centroids to half precision")

    if TYPE_CHECKING:

        def __init__(self, **fields: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _in_groups(cls, values: Any) -> Any:
        """Put every field into its group; add the learning rates of a network that has its own."""
        if not isinstance(values, Mapping):
            return values
        for name in values:
            if name in _GROUPS:
                raise ValueError(f"recipe: found the group {name}, allowed its fields: {', '.join(_GROUPS[name])}")
        values = {**_RATES.get(str(values.get("network", "")).partition("(")[0].strip(), {}), **values}
        grouped = {
            group: {name: values.pop(name) for name in names if name in values} for group, names in _GROUPS.items()
        }
        return {**values, **grouped}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Build a recipe from names and values.

        Raises
        ------
        UsageError
            One line for the first field that is unknown or outside what is allowed.
        """
        for name in values:
            known_name("recipe", str(name), FIELDS)
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            found = [(_field_of(detail["loc"]), detail) for detail in error.errors(include_url=False)]
            field, first = min(found, key=lambda pair: not pair[0])  # what is wrong by itself comes first
            text = str(first["msg"]).removeprefix("Value error, ")
            if not field:
                raise ContradictionError(text) from error
            if first["type"] != "value_error":
                text = f"found {first['input']!r}, allowed {_allowed(field)}"
            raise UsageError(f"{field.replace('_', '-')}: {text}") from error

    def bits_of(self, name: str, shape: tuple[int, ...]) -> int:
        """Bits for a parameter: by its layer's name if given, else by kind (conv or fc), else the default."""
        return by_layer(self.sharing.bits, name, shape, DEFAULT_BITS)

    def flat(self) -> dict[str, Any]:
        """All fields as plain values; `bits` and `quality` are numbers where they are the same for every layer."""
        fields: dict[str, Any] = {}
        for name, value in self.model_dump().items():
            fields |= value if name in _GROUPS else {name: value}
        for name in ("bits", "quality"):
            if set(fields[name]) == {"default"}:
                fields[name] = fields[name]["default"]
        return fields

    def __repr_args__(self) -> "Iterable[tuple[str | None, Any]]":
        return self.flat().items()

    def changed(self) -> dict[str, Any]:
        """Only the fields that differ from the defaults; those are the network's own where it has some.

        >>> Recipe(network="lenet-5-caffe", seed=3).changed()
        {'network': 'lenet-5-caffe', 'seed': 3}
        """
        defaults = {**Recipe(network=self.network).flat(), "network": Recipe().network}
        return {name: value for name, value in self.flat().items() if value != defaults[name]}

    def to_yaml(self) -> str:
        """The whole recipe as YAML, field by field."""
        import yaml

        return str(yaml.safe_dump(self.flat(), sort_keys=False, default_flow_style=False))

    def place_name(self) -> str:
        """What the place of any job is called first: network and data.

        >>> Recipe(network="lenet-5(activation=tanh)").place_name()
        'lenet-5-activation-tanh-mnist'
        """
        data, _, place = self.data.partition(":")
        return f"{_file_name(self.network)}-{_file_name(f'{data}-{Path(place).name}')}"

    def run_name(self) -> str:
        """Name of the run: network, data, sparsity, bits.

        >>> Recipe().run_name()
        'lenet-5-mnist-s0.9-b5'
        """
        if set(self.sharing.bits) == {"default"}:
            bits = str(self.sharing.bits["default"])
        else:
            bits = "-".join(f"{key}{number}" for key, number in self.sharing.bits.items())
        pruned = "-".join(f"q{number:g}" for number in self.pruning.quality.values()) or f"s{self.pruning.sparsity:g}"
        return f"{self.place_name()}-{pruned}-b{bits}"


def _in_group(name: str) -> "Mapping[str, FieldInfo]":
    """The fields of a group; none for what is a field itself."""
    kind = Recipe.model_fields[name].annotation
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, Group) else {}


_GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: tuple(_in_group(name)) for name in Recipe.model_fields if _in_group(name)}
)
"""Group of fields → their names, in order."""

FIELDS: "Mapping[str, FieldInfo]" = MappingProxyType(
    {
        field: found
        for name, info in Recipe.model_fields.items()
        for field, found in (_in_group(name) or {name: info}).items()
    }
)
"""All fields, flat and in order: name → type, limits, default and description."""


def _field_of(place: tuple[int | str, ...]) -> str:
    """The field at a place in a recipe; nothing for a group, or for all of it."""
    return next((str(part) for part in place if part not in _GROUPS), "")


def _allowed(field: str) -> str:
    kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}
    info = FIELDS[field]
    kind = next((text for of, text in kinds.items() if of is info.annotation), None)
    if field in ("layer_sparsity", "quality"):
        return "a number, or layer=number pairs such as conv=0.5,f6=0.95"
    if kind is None:
        return "a whole number from 1 to 8, or layer=number pairs such as conv=8,fc=5"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {getattr(rule, key):g}" for rule in info.metadata for key, word in words.items() if hasattr(rule, key)
    ]
    return " ".join([kind, " and ".join(limits)]).strip()


def _file_name(name: str) -> str:
    """What a file may be called after a network or a data set.

    >>> _file_name("lenet-5(activation=tanh,pool=average)")
    'lenet-5-activation-tanh-pool-average'
    """
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")
