"""Which contestants there are, and how one is loaded and compared with its reference before anything is measured."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, BenchUsageError
from bench.graphs.read import input_shape, read_model
from bench.latency.contestant import Contestant
from bench.latency.values import DEFAULT_RUNTIMES, BenchFile, LatencyConfig, Measurement
from bench.runtimes import RUNTIMES, Runtime
from bench.runtimes.base import missing_cuda
from bench.runtimes.onnxruntime import reference

__all__ = [
    "Entry",
    "Expected",
    "References",
    "chosen_runtimes",
    "load_contestant",
    "open_contestants",
    "pairs_of",
    "reference_files",
]

_WARM_UP_SHARE = 1 / 4
"""Of a contestant's counted time: a slow one warms up with fewer calls, since each of them is long."""

_TIMEOUT_S = 600.0
"""For one answer of a contestant: compiling a large network takes minutes, a hanging one would take for ever."""


def chosen_runtimes(config: LatencyConfig) -> dict[str, Runtime]:
    """The runtimes of this run, by name.

    Raises
    ------
    BenchError
        There is no GPU for device cuda, or no named runtime knows the device.
    """
    if config.device == "cuda" and (reason := missing_cuda()):
        raise BenchError(f"device cuda: {reason}, allowed cpu")
    suffixes = {item.path.suffix for item in config.files}
    if config.runtimes == ("all",):
        names = [name for name, runtime in RUNTIMES.items() if config.device in runtime.devices]
    elif config.runtimes:
        names = list(dict.fromkeys(config.runtimes))
        for name in names:
            if config.device not in RUNTIMES[name].devices:
                raise BenchUsageError(f"runtime {name}: found device {config.device}, allowed "
                                      f"{' or '.join(RUNTIMES[name].devices)}")  # fmt: skip
    else:
        names = [name for name in DEFAULT_RUNTIMES[config.device] if name in RUNTIMES]
    chosen = {name: RUNTIMES[name] for name in names}
    taken = {name: runtime for name, runtime in chosen.items() if suffixes.intersection(runtime.suffixes)}
    if not taken:
        allowed = sorted({suffix for runtime in chosen.values() for suffix in runtime.suffixes})
        raise BenchUsageError(f"files: found only {', '.join(sorted(suffixes))}, allowed {', '.join(allowed)} "
                              f"for {', '.join(chosen)}")  # fmt: skip
    return taken


def reference_files(config: LatencyConfig) -> dict[str, Path]:
    """The reference file of every label."""
    first = next((item.path for item in config.files if item.path.suffix == ".onnx"), None)
    found = {}
    for item in config.files:
        if not item.path.is_file():
            raise BenchError(f"{item.path}: found no such file, allowed an existing one")
        path = item.reference or (item.path if item.path.suffix == ".onnx" else first)
        if path is None:
            raise BenchUsageError(f"{item.label}: found no reference, allowed an ONNX file beside it to agree with")
        found[item.label] = path
    return found


def _batch(config: LatencyConfig, shape: tuple[int | None, ...], batch_size: int) -> NDArray[np.float32]:
    """The inputs of one call: float32 [batch, …]."""
    rest = tuple(axis for axis in shape[1:] if axis is not None)
    if config.inputs is None:
        return np.random.default_rng(config.seed).standard_normal((batch_size, *rest), dtype=np.float32)
    given = np.ascontiguousarray(config.inputs, dtype=np.float32)
    if given.shape[1:] != rest or not given.shape[0]:
        raise BenchError(f"inputs: found shape {given.shape}, allowed (n, {', '.join(map(str, rest))})")
    return np.ascontiguousarray(np.take(given, np.arange(batch_size), axis=0, mode="wrap"))


def pairs_of(config: LatencyConfig) -> list[tuple[BenchFile, str]]:
    """Every file with every chosen runtime that takes its suffix, in the order of the tables.

    A file that none of them takes comes with all of them, so that the tables say so.
    """
    runtimes = chosen_runtimes(config)
    pairs = []
    for item in config.files:
        names = [name for name in runtimes if item.path.suffix in runtimes[name].suffixes]
        pairs += [(item, name) for name in names or runtimes]
    return pairs


@dataclass(frozen=True, slots=True)
class Expected:
    """The batch on disk, and what stock onnxruntime makes of it."""

    inputs: Path
    output: NDArray[np.float32]


class References:
    """The batch and the reference output for every reference file, made once."""

    def __init__(self, config: LatencyConfig, batch_size: int, folder: Path) -> None:
        self._config, self._batch_size, self._folder = config, batch_size, folder
        self._known: dict[Path, Expected] = {}

    def of(self, path: Path) -> Expected:
        if path not in self._known:
            shape = input_shape(read_model(path), path.name)
            if shape[0] not in (None, self._batch_size):
                raise BenchError(f"{path.name}: found a fixed batch size of {shape[0]}, allowed {self._batch_size}")
            batch = _batch(self._config, shape, self._batch_size)
            inputs = self._folder / f"inputs-{len(self._known)}.npy"
            np.save(inputs, batch)
            self._known[path] = Expected(inputs, reference(path, batch))
        return self._known[path]


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant that is loaded and agrees, or a measurement that says why there is none."""

    measurement: Measurement
    contestant: Contestant | None
    calls_a_round: int = 0


def load_contestant(
    config: LatencyConfig, item: BenchFile, blank: Measurement, expected: Expected, place: Path, stack: ExitStack
) -> Entry:
    """Prepare, load, compare and warm up one contestant; it stays open on `stack`."""

    def start(path: Path) -> Contestant:
        return Contestant(
            runtime=blank.runtime,
            path=path,
            inputs=expected.inputs,
            directory=place,
            threads=config.threads,
            device=config.device,
            cpus=config.cpus,
            timeout_s=_TIMEOUT_S,
        )

    path = item.path
    if RUNTIMES[blank.runtime].prepare is not None:
        with start(path) as preparing:
            path = Path(preparing.ask("prepare")["path"])
    contestant = stack.enter_context(start(path))
    loaded = contestant.ask("load")
    tolerance = RUNTIMES[blank.runtime].tolerance
    error, reason = _disagreement(np.load(loaded.pop("output")), expected.output, tolerance)
    measurement = replace(blank, error=error, tolerance=tolerance, **loaded)
    if reason:
        contestant.close()
        return Entry(replace(measurement, status="disagrees", reason=reason), None)
    warm = contestant.ask("warm_up", count=config.warm_up, seconds=config.max_seconds * _WARM_UP_SHARE)
    share = config.max_seconds * 1e9 / max(warm["latency_ns"], 1)
    calls = max(1, min(config.iterations, int(share)) // config.rounds)
    return Entry(replace(measurement, warm_up_done=warm["iterations"]), contestant, calls)


def _disagreement(
    found: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float
) -> tuple[float | None, str | None]:
    """The relative difference, and the reason why the time would not count, or None."""
    if found.size != expected.size:
        return None, f"output: found shape {found.shape}, allowed {expected.shape}"
    found = found.reshape(expected.shape)
    if not np.isfinite(found).all():
        return None, "output: found NaN or infinity, allowed finite values"
    scale = float(np.abs(expected).max(initial=0.0)) or 1.0
    error = float(np.abs(found.astype(np.float64) - expected).max(initial=0.0)) / scale
    if error > tolerance:
        return error, f"output: found a difference of {error:.2g} from the reference, allowed {tolerance:g}"
    return error, None


def open_contestants(
    config: LatencyConfig, batch_size: int, folder: Path, stack: ExitStack, step: Callable[[str], None]
) -> list[Entry]:
    """Load all contestants of one batch size; what could not be loaded is an entry with its reason.

    Parameters
    ----------
    config : LatencyConfig
    batch_size : int
    folder : Path
        For the inputs and the converted files.
    stack : ExitStack
        Ends the processes.
    step : callable
        Called with a label before each.
    """
    files = reference_files(config)
    known = References(config, batch_size, folder)
    entries = []
    for number, (item, name) in enumerate(pairs_of(config)):
        step(f"batch {batch_size}: load {item.label} in {name}")
        blank = Measurement(label=item.label, runtime=name, batch_size=batch_size, status="unavailable")
        reason = RUNTIMES[name].available(config.device)
        if item.path.suffix not in RUNTIMES[name].suffixes:
            reason = f"found suffix {item.path.suffix or 'none'}, allowed {', '.join(RUNTIMES[name].suffixes)}"
        if reason is not None:
            entries.append(Entry(replace(blank, reason=reason), None))
            continue
        place = folder / str(number)
        place.mkdir()
        try:
            entries.append(load_contestant(config, item, blank, known.of(files[item.label]), place, stack))
        except BenchError as error:
            entries.append(Entry(replace(blank, status="failed", reason=str(error)), None))
    return entries
