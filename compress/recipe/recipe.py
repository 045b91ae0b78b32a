"""The one frozen configuration of a run, where the command line, a YAML file and a library's caller meet."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from compress.datasets import DATASETS, canonical_data
from compress.errors import UsageError
from compress.names import known_name
from compress.networks.resolve import canonical_name
from compress.prune import CRITERIA, SCHEDULES, SCOPES
from compress.prune.schedules import cut_epochs
from compress.recipe.fields import (
    Epochs,
    LearningRate,
    by_layer,
    check_bits,
    check_pattern,
    in_one_form,
    one_of,
    parse_bits,
    parse_by_layer,
    within,
)
from compress.recipe.file import load_recipe
from compress.share.k_means import INITIALISATIONS
from compress.training.optimisers import ANNEALINGS, OPTIMISERS

__all__ = ["DEFAULT_BITS", "Recipe", "known_name", "load_recipe", "parse_bits"]

DEFAULT_BITS = 5
"""Bits of a code where a recipe names other layers only."""

_PATTERN_TOLERANCE = 1e-9

_RATES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"lenet-5-caffe": MappingProxyType({"learning_rate": 0.05, "retrain_learning_rate": 0.02})}
)
"""Family of networks → the learning rates that it takes where a recipe names none: it diverges at the usual ones."""


class Recipe(BaseModel):
    """What a run does. Frozen; checks itself; the same recipe, seed, machine and versions give the same files."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: Annotated[str, AfterValidator(in_one_form("network", canonical_name))] = Field(
        "lenet-5", description="of the zoo, such as lenet-5(activation=tanh); torchvision:model; or module:callable"
    )
    data: Annotated[str, AfterValidator(in_one_form("data", canonical_data))] = Field(
        "mnist", description=f"data set: {', '.join(DATASETS)}; NAME:PATH tells where it lies"
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="seed of everything random")
    held_out: Annotated[int, Field(ge=1)] = Field(5000, description="training examples kept for every choice")
    limit: Annotated[int, Field(ge=0)] = Field(
        0, description="use only so many training examples, held-out ones included; 0 for all"
    )
    batch_size: Annotated[int, Field(ge=1, le=1 << 20)] = Field(
        128, description="examples a training step; a single one that is left over joins the last batch"
    )
    shift: Annotated[int, Field(ge=0, le=64)] = Field(2, description="training images move by up to so many pixels")
    flip: bool = Field(False, description="mirror half of the training images, left and right")
    rotation: Annotated[float, Field(ge=0, le=180)] = Field(
        0.0, description="turn training images by up to so many degrees"
    )
    brightness: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="change their brightness by up to so much")
    contrast: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="change their contrast by up to so much")
    epochs: Epochs = Field(8, description="epochs of dense training")
    learning_rate: LearningRate = Field(
        0.1, description="highest learning rate of dense training; 0.05 for lenet-5-caffe"
    )
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = Field(5e-4, description="L2 penalty in training and retraining")
    optimiser: Annotated[str, AfterValidator(one_of(OPTIMISERS))] = Field(
        "nesterov", description=f"how training and retraining step: {', '.join(OPTIMISERS)}"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of the optimiser; Adam's first beta")
    annealing: Annotated[str, AfterValidator(one_of(ANNEALINGS))] = Field(
        "cosine",
        description=f"how the learning rate falls, in training and after the last round: {', '.join(ANNEALINGS)}",
    )
    rate_decay: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="of the annealing inverse-time, a step")
    warm_up: bool = Field(True, description="let the learning rate of dense training rise over its first tenth")
    merge_layer: str = Field("", description="fully connected layer whose most alike neurons are merged")
    merge_neurons: Annotated[int, Field(ge=0, le=1 << 16)] = Field(0, description="neurons that merging takes away")
    merge_epochs: Epochs = Field(1, description="epochs of retraining after every merged neuron")
    sparsity: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="fraction of the weights that is pruned")
    criterion: Annotated[str, AfterValidator(one_of(CRITERIA))] = Field(
        "l1", description=f"what scores a weight: {', '.join(CRITERIA)}"
    )
    scope: Annotated[str, AfterValidator(one_of(SCOPES))] = Field(
        "global", description="rank all layers together, each to one sparsity, or each to its own (layer-sparsity)"
    )
    layer_sparsity: Annotated[dict[str, float], BeforeValidator(parse_by_layer), AfterValidator(within(0, 1))] = Field(
        {}, description="sparsity by layer or by kind (conv, fc), for the scope per-layer; others have sparsity"
    )
    quality: Annotated[dict[str, float], BeforeValidator(parse_by_layer), AfterValidator(within(0, 100))] = Field(
        {}, description="for layer-std: keep weights above so many standard deviations; the sparsity is what results"
    )
    pattern: Annotated[str, AfterValidator(check_pattern)] = Field(
        "", description="N:M keeps N of every M neighbours in a row; its sparsity is 1 - N/M"
    )
    schedule: Annotated[str, AfterValidator(one_of(SCHEDULES))] = Field(
        "cubic", description=f"how sparsity rises: {', '.join(SCHEDULES)}"
    )
    rounds: Annotated[int, Field(ge=1, le=1000)] = Field(
        4, description="rounds of pruning, a cut each; prune-end and prune-frequency tell them where both are given"
    )
    round_epochs: Epochs = Field(1, description="epochs of retraining after every round but the last")
    prune_begin: Epochs = Field(
        0, description="epochs of retraining before the first cut, which is the only one of one-shot"
    )
    prune_end: Epochs = Field(
        0, description="epochs of retraining before the last cut; 0 for what rounds and frequency give"
    )
    prune_frequency: Epochs = Field(
        0, description="epochs of retraining between cuts; 0 to spread the rounds up to prune-end, else round-epochs"
    )
    retrain_epochs: Epochs = Field(6, description="epochs of retraining after the last round")
    retrain_learning_rate: LearningRate = Field(
        0.03, description="highest learning rate of retraining; 0.02 for lenet-5-caffe"
    )
    bits: Annotated[dict[str, int], BeforeValidator(parse_bits), AfterValidator(check_bits)] = Field(
        {"default": DEFAULT_BITS}, description="bits of a code, by layer, by kind (conv, fc), or default"
    )
    initialisation: Annotated[str, AfterValidator(one_of(INITIALISATIONS))] = Field(
        "linear", description=f"where k-means starts: {', '.join(INITIALISATIONS)}"
    )
    tune_epochs: Epochs = Field(2, description="epochs of tuning the centroids")
    tune_learning_rate: LearningRate = Field(1e-4, description="highest learning rate of tuning the centroids")
    half: bool = Field(True, description="round biases of coded layers and centroids to half precision")

    @model_validator(mode="before")
    @classmethod
    def _with_rates(cls, values: Any) -> Any:
        """Add the learning rates of a network that has its own."""
        if not isinstance(values, Mapping):
            return values
        return {**_RATES.get(str(values.get("network", "")).partition("(")[0].strip(), {}), **values}

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        criterion = CRITERIA[self.criterion]
        if (self.scope == "per-layer") != bool(self.layer_sparsity):
            raise ValueError(
                f"scope: found {self.scope!r} with layer-sparsity {self.layer_sparsity or 'not given'}, "
                "allowed per-layer with it and only with it"
            )
        if self.quality and self.criterion != "layer-std":
            raise ValueError(f"quality: found with criterion {self.criterion!r}, allowed with layer-std")
        if self.quality and (self.layer_sparsity or self.pattern):
            raise ValueError("quality: found with layer-sparsity or pattern, allowed alone: the sparsity results")
        if self.pattern:
            kept, group = self.pattern_counts()
            if criterion.unit != "weight" or self.layer_sparsity:
                raise ValueError(
                    f"pattern: found with criterion {self.criterion!r}, allowed with one that scores weights"
                )
            if abs(self.sparsity - (1 - kept / group)) > _PATTERN_TOLERANCE:
                raise ValueError(
                    f"pattern: found {self.pattern} with sparsity {self.sparsity:g}, allowed {1 - kept / group:g}"
                )
        if bool(self.merge_layer) != bool(self.merge_neurons):
            raise ValueError(
                f"merge-neurons: found {self.merge_neurons} with merge-layer {self.merge_layer or 'not given'}, "
                "allowed both or neither"
            )
        self._check_cuts()
        return self

    def _check_cuts(self) -> None:
        """Raise `ValueError` where begin, end and frequency contradict each other, the rounds or their epochs."""
        cuts = self._cuts()
        default = {name: type(self).model_fields[name].default for name in ("rounds", "round_epochs")}
        if self._cuts_once() or not (self.prune_end or self.prune_frequency):
            return
        if self.rounds not in (default["rounds"], len(cuts)):
            raise ValueError(
                f"rounds: found {self.rounds}, allowed {len(cuts)}, as prune-begin {self.prune_begin}, prune-end "
                f"{self.prune_end} and prune-frequency {self.prune_frequency} make"
            )
        if self.round_epochs not in (default["round_epochs"], self.prune_frequency):
            raise ValueError(
                f"round-epochs: found {self.round_epochs} with prune-end {self.prune_end} and prune-frequency "
                f"{self.prune_frequency}, allowed only without the two"
            )

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
            if not first["loc"]:
                raise UsageError(str(first["msg"]).removeprefix("Value error, ")) from error
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
        if field in ("layer_sparsity", "quality"):
            return "a number, or layer=number pairs such as conv=0.5,f6=0.95"
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
        return by_layer(self.bits, name, shape, DEFAULT_BITS)

    def sparsity_of(self, name: str, shape: tuple[int, ...]) -> float:
        """Sparsity for a parameter in the scope per-layer: by its layer's name, else by kind, else `sparsity`."""
        return by_layer(self.layer_sparsity, name, shape, self.sparsity)

    def quality_of(self, name: str, shape: tuple[int, ...]) -> float:
        """Threshold for a parameter in standard deviations; zero where none is given for it."""
        return by_layer(self.quality, name, shape, 0.0)

    def cut_epochs(self) -> tuple[int, ...]:
        """Epochs of retraining before every cut; none where nothing is pruned.

        >>> Recipe().cut_epochs(), Recipe(prune_begin=1, prune_end=7, prune_frequency=3).cut_epochs()
        ((0, 1, 2, 3), (1, 4, 7))
        """
        nothing = self.sparsity == 0 and not self.layer_sparsity and not self.quality
        return () if nothing else self._cuts()

    def _cuts_once(self) -> bool:
        return len(SCHEDULES[self.schedule](self.sparsity, 2)) == 1

    def _cuts(self) -> tuple[int, ...]:
        if self._cuts_once():
            return (self.prune_begin,)
        return cut_epochs(
            self.rounds, self.round_epochs, begin=self.prune_begin, end=self.prune_end, frequency=self.prune_frequency
        )

    def pattern_counts(self) -> tuple[int, int]:
        """N and M of the pattern.

        >>> Recipe(pattern="2:4", sparsity=0.5).pattern_counts()
        (2, 4)
        """
        kept, _, group = self.pattern.partition(":")
        return int(kept), int(group)

    def flat(self) -> dict[str, Any]:
        """All fields as plain values; `bits` and `quality` are numbers where they are the same for every layer."""
        fields = self.model_dump()
        for name in ("bits", "quality"):
            if set(fields[name]) == {"default"}:
                fields[name] = fields[name]["default"]
        return fields

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
        if set(self.bits) == {"default"}:
            bits = str(self.bits["default"])
        else:
            bits = "-".join(f"{key}{number}" for key, number in self.bits.items())
        pruned = "-".join(f"q{number:g}" for number in self.quality.values()) or f"s{self.sparsity:g}"
        return f"{self.place_name()}-{pruned}-b{bits}"


def _file_name(name: str) -> str:
    """What a file may be called after a network or a data set.

    >>> _file_name("lenet-5(activation=tanh,pool=average)")
    'lenet-5-activation-tanh-pool-average'
    """
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")
