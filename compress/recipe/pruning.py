"""The fields of a recipe that say what is pruned, how much, and when; and what goes together among them."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from compress.prune import CRITERIA, SCHEDULES
from compress.prune.schedules import cut_epochs
from compress.prune.selection import SCOPES
from compress.recipe.fields import Epochs, LearningRate, by_layer, check_pattern, one_of, parse_by_layer, within
from compress.recipe.groups import Group

__all__ = ["Pruning"]

_PATTERN_TOLERANCE = 1e-9
"""How far 1 - N/M may be from the sparsity as it is written: a few roundings of a double, and no other fraction."""


class Pruning(Group):
    """Pruning, and the retraining between and after the cuts."""

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
        self._check_cuts()
        return self

    def _check_cuts(self) -> None:
        """Raise `ValueError` where begin, end and frequency contradict each other, the rounds or their epochs."""
        cuts = self._cuts()
        default = {name: Pruning.model_fields[name].default for name in ("rounds", "round_epochs")}
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

    def sparsity_of(self, name: str, shape: tuple[int, ...]) -> float:
        """Sparsity for a parameter in the scope per-layer: by its layer's name, else by kind, else `sparsity`."""
        return by_layer(self.layer_sparsity, name, shape, self.sparsity)

    def quality_of(self, name: str, shape: tuple[int, ...]) -> float:
        """Threshold for a parameter in standard deviations; zero where none is given for it."""
        return by_layer(self.quality, name, shape, 0.0)

    def cut_epochs(self) -> tuple[int, ...]:
        """Epochs of retraining before every cut; none where nothing is pruned.

        >>> Pruning().cut_epochs(), Pruning(prune_begin=1, prune_end=7, prune_frequency=3).cut_epochs()
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

        >>> Pruning(pattern="2:4", sparsity=0.5).pattern_counts()
        (2, 4)
        """
        kept, _, group = self.pattern.partition(":")
        return int(kept), int(group)
