"""What `bench layers` is asked and what it answers, as frozen values; the layers of the paper."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchUsageError
from bench.summary import UNSTABLE_RULE, Summary

__all__ = ["PAPER_LAYERS", "Crossover", "FullyConnected", "LayerMeasurement", "LayersConfig", "LayersReport"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMeasurement:
    """One kernel on one layer at one batch size; `status` as in `bench.latency.values.Measurement`."""

    layer: FullyConnected
    batch_size: int
    kernel: str
    status: str
    reason: str | None = None
    weight_bytes: int | None = None
    summary: Summary | None = None
    latency_ns: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    speedup: float | None = None
    """The fastest dense kernel's p50 over this one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """The density below which `kernel` beats the fastest dense one; None where it never does.

    0.5 is where the search ends: there CSR takes as many bytes as the dense weights."""

    inputs: int
    outputs: int
    batch_size: int
    kernel: str
    density: float | None


@dataclass(frozen=True, slots=True)
class LayersReport:
    """All measurements of one run."""

    config: LayersConfig
    environment: Mapping[str, Any]
    measurements: tuple[LayerMeasurement, ...]
    crossovers: tuple[Crossover, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as a plain dictionary, raw samples included."""
        config = self.config
        return {
            "kind": "layers",
            "settings": {
                "batch_sizes": list(config.batch_sizes),
                "threads": config.threads,
                "device": config.device,
                "warm_up": config.warm_up,
                "rounds": config.rounds,
                "max_seconds": config.max_seconds,
                "seed": config.seed,
            },
            "unstable_rule": UNSTABLE_RULE,
            "environment": dict(self.environment),
            "measurements": [
                {
                    "network": item.layer.network,
                    "layer": item.layer.name,
                    "inputs": item.layer.inputs,
                    "outputs": item.layer.outputs,
                    "density": item.layer.density,
                    "weights": "random" if item.layer.weight is None else "given",
                    "batch_size": item.batch_size,
                    "kernel": item.kernel,
                    "status": item.status,
                    "reason": item.reason,
                    "weight_bytes": item.weight_bytes,
                    "speedup": item.speedup,
                    "summary": item.summary.to_json() if item.summary else None,
                    "latency_ns": item.latency_ns.tolist() if item.latency_ns is not None else None,
                }
                for item in self.measurements
            ],
            "crossovers": [{name: getattr(item, name) for name in Crossover.__slots__} for item in self.crossovers],
        }
