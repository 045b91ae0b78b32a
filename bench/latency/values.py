"""What `bench latency` is asked and what it answers, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchUsageError
from bench.runtimes import RUNTIMES
from bench.summary import UNSTABLE_RULE, Summary

__all__ = [
    "DEFAULT_RUNTIMES",
    "DEVICES",
    "BenchFile",
    "LatencyConfig",
    "LatencyReport",
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
    summary: Summary | None = None
    latency_ns: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The same as a plain dictionary, raw samples last."""
        names = (
            "label", "runtime", "batch_size", "status", "reason", "error", "tolerance", "import_ns", "load_ns",
            "first_inference_ns", "interpreter_bytes", "peak_bytes", "device_peak_bytes", "warm_up_done",
        )  # fmt: skip
        result: dict[str, Any] = {name: getattr(self, name) for name in names}
        result["details"] = dict(self.details)
        result["summary"] = self.summary.to_json() if self.summary else None
        result["latency_ns"] = self.latency_ns.tolist() if self.latency_ns is not None else None
        return result


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """All measurements of one run, with what they were measured on."""

    config: LatencyConfig
    environment: Mapping[str, Any]
    measurements: tuple[Measurement, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as a plain dictionary: the file that `bench report` reads."""
        config = self.config
        return {
            "kind": "latency",
            "settings": {
                "files": [item.label for item in config.files],
                "batch_sizes": list(config.batch_sizes),
                "threads": config.threads,
                "device": config.device,
                "warm_up": config.warm_up,
                "iterations": config.iterations,
                "rounds": config.rounds,
                "max_seconds": config.max_seconds,
                "seed": config.seed,
                "inputs": "standard normal" if config.inputs is None else "given",
                "cpus": None if config.cpus is None else list(config.cpus),
            },
            "unstable_rule": UNSTABLE_RULE,
            "environment": dict(self.environment),
            "measurements": [measurement.to_json() for measurement in self.measurements],
        }
