"""What `bench layers` is asked and what it answers, as frozen values; the layers of the paper."""

from dataclasses import dataclass, field, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.environment import Environment
from bench.errors import BenchUsageError
from bench.summary import Summary
from bench.versioned import Samples, Versioned

__all__ = [
    "PAPER_LAYERS",
    "Crossover",
    "FullyConnected",
    "LayerMeasurement",
    "LayersConfig",
    "LayersReport",
    "LayersSettings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnected:
    """A layer y = W · x with W (outputs, inputs).

    Parameters
    ----------
    network, name : str
    inputs, outputs : int
    density : float
        Share of nonzero weights.
    weight : float32 array (outputs, inputs) or None
        The real weights; random ones of that density when None.
    """

    network: str
    name: str
    inputs: int
    outputs: int
    density: float
    weight: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """Network, layer and shape."""
        return f"{self.network} {self.name} {self.inputs}×{self.outputs}"


PAPER_LAYERS: tuple[FullyConnected, ...] = (
    FullyConnected(network="AlexNet", name="fc6", inputs=9216, outputs=4096, density=0.09),
    FullyConnected(network="AlexNet", name="fc7", inputs=4096, outputs=4096, density=0.09),
    FullyConnected(network="AlexNet", name="fc8", inputs=4096, outputs=1000, density=0.25),
    FullyConnected(network="VGG-16", name="fc6", inputs=25088, outputs=4096, density=0.04),
    FullyConnected(network="VGG-16", name="fc7", inputs=4096, outputs=4096, density=0.04),
    FullyConnected(network="VGG-16", name="fc8", inputs=4096, outputs=1000, density=0.23),
)
"""The paper's layers and densities (its tables 4 and 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersConfig:
    """What to measure.

    Parameters
    ----------
    layers : tuple of FullyConnected
    batch_sizes : tuple of int
    threads : int
        Of torch; scipy's product has one thread always.
    device : str
        "cpu" or "cuda".
    warm_up, rounds : int
    max_seconds : float
        Counted time of one kernel on one layer at one batch size.
    max_calls : int
        Counted calls at most.
    crossover : bool
        Look for the density at which a sparse kernel is as fast as the dense one.
    seed : int
    """

    layers: tuple[FullyConnected, ...] = PAPER_LAYERS
    batch_sizes: tuple[int, ...] = (1, 64)
    threads: int = 1
    device: str = "cpu"
    warm_up: int = 3
    rounds: int = 10
    max_seconds: float = 1.0
    max_calls: int = 1000
    crossover: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.layers:
            raise BenchUsageError("layers: found none, allowed at least one fully connected layer")
        for layer in self.layers:
            if not 0 <= layer.density <= 1:
                raise BenchUsageError(f"{layer.label}: found a density of {layer.density}, allowed 0 to 1")
        if not self.batch_sizes or min(self.batch_sizes) < 1:
            raise BenchUsageError(f"batch sizes: found {list(self.batch_sizes)}, allowed 1 and up")
        for name, lowest in {"threads": 1, "warm_up": 0, "rounds": 1, "max_calls": 1}.items():
            if getattr(self, name) < lowest:
                raise BenchUsageError(f"{name}: found {getattr(self, name)}, allowed {lowest} and up")
        if not self.max_seconds > 0:
            raise BenchUsageError(f"max_seconds: found {self.max_seconds}, allowed above 0")
        if self.device not in ("cpu", "cuda"):
            raise BenchUsageError(f"device: found {self.device}, allowed cpu or cuda")

    def settings(self) -> "LayersSettings":
        """What a report keeps of this."""
        return LayersSettings(**{item.name: getattr(self, item.name) for item in fields(LayersSettings)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersSettings:
    """Of a LayersConfig what a report keeps; the layers stand with their measurements."""

    batch_sizes: tuple[int, ...]
    threads: int
    device: str
    warm_up: int
    rounds: int
    max_seconds: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMeasurement:
    """One kernel on one layer at one batch size; `status` as in `bench.latency.values.Measurement`.

    `weights` says whether they were "random" or "given", `speedup` is the fastest dense kernel's p50 over this one's.
    """

    network: str
    layer: str
    inputs: int
    outputs: int
    density: float
    weights: str
    batch_size: int
    kernel: str
    status: str
    reason: str | None = None
    weight_bytes: int | None = None
    speedup: float | None = None
    summary: Summary | None = None
    latency_ns: Samples | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """The density below which `kernel` beats the fastest dense one; None where it never does.

    0.5 is where the search ends: there CSR takes as many bytes as the dense weights."""

    inputs: int
    outputs: int
    batch_size: int
    kernel: str
    density: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersReport(Versioned):
    """All measurements of one run, with what they were measured on."""

    KIND: ClassVar[str] = "layers"

    settings: LayersSettings
    unstable_rule: str
    environment: Environment
    measurements: tuple[LayerMeasurement, ...]
    crossovers: tuple[Crossover, ...]
