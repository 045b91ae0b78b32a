"""`bench latency`: files × runtimes, every contestant in a process of its own, their samples interleaved in rounds."""

import random
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.environment import environment
from bench.errors import BenchError
from bench.latency.loading import Entry, open_contestants, pairs_of, reference_files
from bench.latency.values import BenchFile, LatencyConfig, LatencyReport, Measurement
from bench.progress import Progress, Steps
from bench.summary import UNSTABLE_RULE, summarise

__all__ = ["BenchFile", "LatencyConfig", "LatencyReport", "Measurement", "measure_latency"]


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
    pairs = pairs_of(config)
    reference_files(config)
    described = environment()
    steps = Steps(len(config.batch_sizes) * (len(pairs) + config.rounds), progress)
    measurements: list[Measurement] = []
    for batch_size in config.batch_sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
            entries = open_contestants(config, batch_size, Path(folder), stack, steps.take)
            measurements += _sample(config, entries, steps)
    steps.take("done")
    return LatencyReport(
        settings=config.settings(),
        unstable_rule=UNSTABLE_RULE,
        environment=described,
        measurements=tuple(measurements),
    )


def _sample(config: LatencyConfig, entries: list[Entry], steps: Steps) -> list[Measurement]:
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
