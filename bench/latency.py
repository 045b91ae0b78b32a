"""`bench latency`: files × runtimes, every contestant in a process of its own, their samples interleaved in rounds."""

import random
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.contestant import Contestant
from bench.environment import environment
from bench.errors import BenchError, BenchUsageError
from bench.graph import input_shape, read_model
from bench.latency_values import DEFAULT_RUNTIMES, BenchFile, LatencyConfig, LatencyReport, Measurement
from bench.runtimes import RUNTIMES, Runtime
from bench.runtimes.base import missing_cuda
from bench.runtimes.onnxruntime import reference
from bench.summary import summarise

__all__ = ["BenchFile", "LatencyConfig", "LatencyReport", "Measurement", "measure_latency"]

Progress = Callable[[int, int, str], None]

_TIMEOUT_S = 600.0


def _chosen(config: LatencyConfig) -> dict[str, Runtime]:
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
    for item in config.files:
        if not any(item.path.suffix in runtime.suffixes for runtime in chosen.values()):
            allowed = sorted({suffix for runtime in chosen.values() for suffix in runtime.suffixes})
            raise BenchUsageError(f"{item.path.name}: found suffix {item.path.suffix or 'none'}, allowed "
                                  f"{', '.join(allowed)} for {', '.join(chosen)}")  # fmt: skip
    return {name: runtime for name, runtime in chosen.items() if suffixes.intersection(runtime.suffixes)}


def _references(config: LatencyConfig) -> dict[str, Path]:
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


def measure_latency(config: LatencyConfig, progress: Progress | None = None) -> LatencyReport:
    """Run every file in every runtime and keep all samples.

    Each contestant (file, runtime, batch size) is a fresh process that loads the file once; the import of the runtime,
    the load, the first inference and the peak memory are taken there. Its output is compared with the reference before
    it is timed. Then the contestants of one batch size take turns: in every round each, in an order drawn anew, takes
    its share of samples while the others wait.

    Parameters
    ----------
    config : LatencyConfig
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    LatencyReport
        Also with what could not be measured, and why.

    Raises
    ------
    BenchError
        Nothing can be measured: no GPU, a missing or unreadable file, inputs of another shape.
    """
    runtimes = _chosen(config)
    references = _references(config)
    described = environment()
    reasons = {name: runtime.available(config.device) for name, runtime in runtimes.items()}
    pairs = [(item, name) for item in config.files for name in runtimes if item.path.suffix in runtimes[name].suffixes]
    steps = _Steps(len(config.batch_sizes) * (len(pairs) + config.rounds), progress)
    measurements: list[Measurement] = []
    for batch_size in config.batch_sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
            references_of_batch = _References(config, batch_size, Path(folder))
            entries = []
            for item, name in pairs:
                steps.take(f"batch {batch_size}: load {item.label} in {name}")
                blank = Measurement(label=item.label, runtime=name, batch_size=batch_size, status="unavailable")
                if (reason := reasons[name]) is not None:
                    entries.append(_Entry(replace(blank, reason=reason), None))
                    continue
                place = Path(folder) / str(len(entries))
                place.mkdir()
                try:
                    expected = references_of_batch.of(references[item.label])
                    entries.append(_load(config, item, blank, expected, place, stack))
                except BenchError as error:
                    entries.append(_Entry(replace(blank, status="failed", reason=str(error)), None))
            measurements += _sample(config, entries, steps)
    steps.take("done")
    return LatencyReport(config, described, tuple(measurements))


class _Steps:
    """Counts the steps of a run for the progress callback."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def take(self, label: str) -> None:
        if self._progress:
            self._progress(self._done, self._total, label)
        self._done += 1


@dataclass(frozen=True, slots=True)
class _Expected:
    """The batch on disk, and what stock onnxruntime makes of it."""

    inputs: Path
    output: NDArray[np.float32]


class _References:
    """The batch and the reference output for every reference file, made once."""

    def __init__(self, config: LatencyConfig, batch_size: int, folder: Path) -> None:
        self._config, self._batch_size, self._folder = config, batch_size, folder
        self._known: dict[Path, _Expected] = {}

    def of(self, path: Path) -> _Expected:
        if path not in self._known:
            shape = input_shape(read_model(path), path.name)
            if shape[0] not in (None, self._batch_size):
                raise BenchError(f"{path.name}: found a fixed batch size of {shape[0]}, allowed {self._batch_size}")
            batch = _batch(self._config, shape, self._batch_size)
            inputs = self._folder / f"inputs-{len(self._known)}.npy"
            np.save(inputs, batch)
            self._known[path] = _Expected(inputs, reference(path, batch))
        return self._known[path]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A contestant that is loaded and agrees, or a measurement that says why there is none."""

    measurement: Measurement
    contestant: Contestant | None
    calls_a_round: int = 0


def _load(
    config: LatencyConfig, item: BenchFile, blank: Measurement, expected: _Expected, place: Path, stack: ExitStack
) -> _Entry:
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
        return _Entry(replace(measurement, status="disagrees", reason=reason), None)
    warm = contestant.ask("warm_up", count=config.warm_up, seconds=config.max_seconds / 4)
    share = config.max_seconds * 1e9 / max(warm["latency_ns"], 1)
    calls = max(1, min(config.iterations, int(share)) // config.rounds)
    return _Entry(replace(measurement, warm_up_done=warm["iterations"]), contestant, calls)


def _disagreement(
    found: NDArray[np.float32], expected: NDArray[np.float32], tolerance: float
) -> tuple[float | None, str | None]:
    """The relative difference, and the reason why the time would not count, or None."""
    if found.size != expected.size:
        return None, f"output: found shape {found.shape}, allowed {expected.shape}"
    found = found.reshape(expected.shape)
    if not np.isfinite(found).all():
        return None, "output: found NaN or infinity, allowed finite values"
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    error = float(np.abs(found.astype(np.float64) - expected).max(initial=0.0)) / scale
    if error > tolerance:
        return error, f"output: found a difference of {error:.2g} from the reference, allowed {tolerance:g}"
    return error, None


def _sample(config: LatencyConfig, entries: list[_Entry], steps: _Steps) -> list[Measurement]:
    """Let the contestants take turns, and close the books on each."""
    order = random.Random(config.seed)  # noqa: S311 - the order of turns is no secret
    taken: dict[int, list[list[int]]] = {index: [] for index, entry in enumerate(entries) if entry.contestant}
    failed: dict[int, str] = {}
    for turn in range(config.rounds):
        steps.take(f"round {turn + 1} of {config.rounds}")
        for index in order.sample(sorted(taken), len(taken)):
            entry = entries[index]
            assert entry.contestant is not None
            try:
                taken[index].append(entry.contestant.ask("sample", count=entry.calls_a_round)["latency_ns"])
            except BenchError as error:
                failed[index] = str(error)
                del taken[index]
    results = []
    for index, entry in enumerate(entries):
        measurement = entry.measurement
        if index in failed:
            measurement = replace(measurement, status="failed", reason=failed[index])
        elif index in taken:
            assert entry.contestant is not None
            rounds = np.asarray(taken[index], dtype=np.int64)
            measurement = replace(
                measurement,
                status="measured",
                latency_ns=rounds,
                summary=summarise(rounds, measurement.batch_size),
                **entry.contestant.ask("peak"),
            )
        results.append(measurement)
    return results
