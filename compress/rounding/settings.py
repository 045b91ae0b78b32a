"""How a network that nobody retrains is to be compressed, checked once."""

import re
from dataclasses import dataclass, fields
from math import isfinite

from compress.errors import UsageError
from compress.names import known_name
from compress.rounding.methods import ROUNDINGS

__all__ = ["PostTraining"]

_GRANULARITY = re.compile(r"per-tensor|per-channel|per-group:([1-9][0-9]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostTraining:
    """How the weights are coded.

    Parameters
    ----------
    bits : int
        At most 2**bits values for a tensor or group, 1 to 8; the upper end where bits are chosen per tensor.
        At 6 eight of eight real networks come to 0.19 of their file or below (docs/onnx.md).
    rounding : str
        Key in ROUNDINGS: how values become codes.
    sparsity : float
        Fraction of every tensor's elements that is pruned, smallest magnitudes first, in [0, 1).
    keep_zeros : bool
        Zeros stay exactly zero in every tensor; otherwise in those that are evidently pruned.
    lossless : bool
        Nothing is rounded: only zeros and repeated values are made use of.
    granularity : str
        `per-tensor`, `per-channel`, or `per-group:N` for codebooks that N output channels share.
    max_error : float or None
        Largest output error allowed, as a fraction of the output's largest magnitude; bits are chosen for it.
    target_size : int or None
        Bytes of the file to be written; bits are chosen for it.
    bias_correction : bool
        Where there is calibration data, take a layer's mean error out of its bias.
    """

    bits: int = 6
    rounding: str = "k-means"
    sparsity: float = 0.0
    keep_zeros: bool = False
    lossless: bool = False
    granularity: str = "per-tensor"
    max_error: float | None = None
    target_size: int | None = None
    bias_correction: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 8:
            raise UsageError(f"bits: found {self.bits}, allowed 1 to 8")
        if not 0 <= self.sparsity < 1:
            raise UsageError(f"sparsity: found {self.sparsity}, allowed 0 up to but not including 1")
        if not _GRANULARITY.fullmatch(self.granularity):
            raise UsageError(
                f"granularity: found {self.granularity!r}, allowed per-tensor, per-channel or per-group:N, N at least 1"
            )
        if self.max_error is not None and not (isfinite(self.max_error) and self.max_error > 0):
            raise UsageError(f"max-error: found {self.max_error}, allowed above 0")
        if self.target_size is not None and self.target_size <= 0:
            raise UsageError(f"target-size: found {self.target_size}, allowed above 0 bytes")
        known_name("rounding", self.rounding, ROUNDINGS)
        if self.max_error is not None and self.target_size is not None:
            raise UsageError("max-error: found together with target-size, allowed one of the two")
        if self.lossless and (self.sparsity or self.max_error is not None or self.target_size is not None):
            raise UsageError("lossless: found together with sparsity, max-error or target-size, allowed alone")

    @property
    def channels_per_group(self) -> int | None:
        """Output channels that share a codebook; None where the whole tensor does."""
        if self.granularity == "per-tensor":
            return None
        match = _GRANULARITY.fullmatch(self.granularity)
        return int(match[1]) if match and match[1] else 1

    def changed(self) -> dict[str, object]:
        """The settings that differ from their defaults, by name."""
        return {own.name: getattr(self, own.name) for own in fields(self) if getattr(self, own.name) != own.default}
