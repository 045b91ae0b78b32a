"""The fields of a recipe in groups: which examples, and how a network is trained, merged and shared."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from compress.recipe.fields import Epochs, LearningRate, check_bits, one_of, parse_bits
from compress.share.k_means import INITIALISATIONS
from compress.training.optimisers import ANNEALINGS, OPTIMISERS

__all__ = ["DEFAULT_BITS", "Examples", "Group", "Merging", "Sharing", "Training"]

DEFAULT_BITS = 5
"""Bits of a code where a recipe names other layers only: what Han et al. (2016)
share fully connected layers in, which hold most weights."""


class Group(BaseModel):
    """Fields that belong together; frozen, and checked when they are built."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Examples(Group):
    """Which examples a network is trained on, and how they are changed."""

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


class Training(Group):
    """Dense training; optimiser, momentum, penalty and annealing hold for retraining too."""

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


class Merging(Group):
    """Merging of neurons, before pruning."""

    merge_layer: str = Field("", description="fully connected layer whose most alike neurons are merged")
    merge_neurons: Annotated[int, Field(ge=0, le=1 << 16)] = Field(0, description="neurons that merging takes away")
    merge_epochs: Epochs = Field(1, description="epochs of retraining after every merged neuron")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if bool(self.merge_layer) != bool(self.merge_neurons):
            raise ValueError(
                f"merge-neurons: found {self.merge_neurons} with merge-layer {self.merge_layer or 'not given'}, "
                "allowed both or neither"
            )
        return self


class Sharing(Group):
    """Weight sharing, and tuning of the centroids."""

    bits: Annotated[dict[str, int], BeforeValidator(parse_bits), AfterValidator(check_bits)] = Field(
        {"default": DEFAULT_BITS}, description="bits of a code, by layer, by kind (conv, fc), or default"
    )
    initialisation: Annotated[str, AfterValidator(one_of(INITIALISATIONS))] = Field(
        "linear", description=f"where k-means starts: {', '.join(INITIALISATIONS)}"
    )
    tune_epochs: Epochs = Field(2, description="epochs of tuning the centroids")
    tune_learning_rate: LearningRate = Field(1e-4, description="highest learning rate of tuning the centroids")
