"""What `bench latency` is asked and what it answers, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.environment import Environment
from bench.errors import BenchUsageError
from bench.runtimes import RUNTIMES
from bench.summary import Summary
from bench.versioned import Samples, Versioned

__all__ = [
    "DEFAULT_RUNTIMES",
    "DEVICES",
    "BenchFile",
    "LatencyConfig",
    "LatencyReport",
    "LatencySettings",
    "Measurement",
]

DEVICES = ("cpu", "cuda")
DEFAULT_RUNTIMES: Mapping[str, tuple[str, ...]] = {"cpu": ("torch", "onnxruntime", "c"), "cuda": ("torch",)}
"""What is measured unless runtimes are named; "c" takes part only where a C file does."""


@dataclass(frozen=True, slots=True)
class BenchFile:
    """A file to run.

    Parameters
    ----------
    label : str
        Its name in the table.
    path : Path
    reference : Path or None
        The ONNX file whose output in stock onnxruntime this one has to give; None for an ONNX file means itself, for
        any other file the first ONNX file of the run.
    """

    label: str
    path: Path
    reference: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyConfig:
    """What to measure and how often.

    Parameters
    ----------
    files : tuple of BenchFile
    runtimes : tuple of str
        Names in RUNTIMES; empty for DEFAULT_RUNTIMES, ("all",) for all that know the device.
    batch_sizes : tuple of int
    threads : int
        Threads of every runtime.
    device : str
        "cpu" or "cuda".
    warm_up, iterations, rounds : int
        Uncounted calls; counted calls; rounds into which those are cut. Every turn also begins with a tenth of its
        calls uncounted, at least one: the caches were another's meanwhile.
    max_seconds : float
        Counted time for one contestant at one batch size: a slow one takes fewer samples, at least one a round.
    seed : int
        Of the random inputs and of the contestants' order within a round.
    inputs : float32 array or None
        Inputs with the batch axis first, taken from the beginning and repeated as needed; standard normal when None.
    cpus : tuple of int or None
        Cores to pin every contestant to.
    """

    files: tuple[BenchFile, ...]
    runtimes: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = (1, 64)
    threads: int = 1
    device: str = "cpu"
    warm_up: int = 50
    iterations: int = 1000
    rounds: int = 20
    max_seconds: float = 10.0
    seed: int = 0
    inputs: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    cpus: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.files:
            raise BenchUsageError("files: found none, allowed at least one")
        labels = [item.label for item in self.files]
        if len(set(labels)) < len(labels):
            raise BenchUsageError(f"files: found a label twice in {', '.join(labels)}, allowed distinct ones")
        if not self.batch_sizes or min(self.batch_sizes) < 1:
            raise BenchUsageError(f"batch sizes: found {list(self.batch_sizes)}, allowed 1 and up")
        limits = {"threads": 1, "warm_up": 0, "iterations": 1, "rounds": 1}
        for name, lowest in limits.items():
            if getattr(self, name) < lowest:
                raise BenchUsageError(f"{name}: found {getattr(self, name)}, allowed {lowest} and up")
        if self.iterations < self.rounds:
            raise BenchUsageError(f"iterations: found {self.iterations}, allowed at least one a round ({self.rounds})")
        if not self.max_seconds > 0:
            raise BenchUsageError(f"max_seconds: found {self.max_seconds}, allowed above 0")
        if self.device not in DEVICES:
            raise BenchUsageError(f"device: found {self.device}, allowed {' or '.join(DEVICES)}")
        for name in self.runtimes:
            if name not in RUNTIMES and self.runtimes != ("all",):
                raise BenchUsageError(f"runtime: found {name}, allowed all, {', '.join(RUNTIMES)}")

    def settings(self) -> "LatencySettings":
        """What a report keeps of this."""
        shared = {item.name: getattr(self, item.name) for item in fields(LatencySettings)}
        labels = tuple(item.label for item in self.files)
        inputs = "standard normal" if self.inputs is None else "given"
        return LatencySettings(**{**shared, "files": labels, "inputs": inputs})


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySettings:
    """A LatencyConfig as a report keeps it: the labels of its files, and where the inputs were from."""

    files: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    threads: int
    device: str
    warm_up: int
    iterations: int
    rounds: int
    max_seconds: float
    seed: int
    inputs: str
    cpus: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One contestant: `status` is "measured", "unavailable", "failed" or "disagrees", with the reason if not measured.

    `error` is the largest difference from the reference over its largest absolute output; `latency_ns` is
    int64 [rounds, samples].
    """

    label: str
    runtime: str
    batch_size: int
    status: str
    reason: str | None = None
    error: float | None = None
    tolerance: float | None = None
    import_ns: int | None = None
    load_ns: int | None = None
    first_inference_ns: int | None = None
    interpreter_bytes: int | None = None
    peak_bytes: int | None = None
    device_peak_bytes: int | None = None
    warm_up_done: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    summary: Summary | None = None
    latency_ns: Samples | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport(Versioned):
    """All measurements of one run, with what they were measured on."""

    KIND: ClassVar[str] = "latency"

    settings: LatencySettings
    unstable_rule: str
    environment: Environment
    measurements: tuple[Measurement, ...]
