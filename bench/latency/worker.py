"""A contestant's own process: it prepares, loads, warms up and takes samples as the lines on its standard input say.

One JSON object a line in, one out. Standard output belongs to this exchange
alone; whatever a runtime prints goes to standard error.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.memory import memory_bytes
from bench.runtimes import RUNTIMES, LoadOptions, Session
from bench.timing import time_calls

__all__ = ["main", "sample"]


def sample(session: Session, count: int) -> NDArray[np.int64]:
    """`count` latencies in nanoseconds, by the runtime's own clock where it has one."""
    return time_calls(session.call, count) if session.samples is None else session.samples(count)


_CALLS_A_WARM_ONE = 10
"""Counted calls of a turn for each that only brings the caches back: a tenth costs little, and one call may not do."""


class _Contestant:
    """The state between the lines: the options, and the session once it is loaded."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.runtime = RUNTIMES[job["runtime"]]
        self.options = LoadOptions(np.load(job["inputs"]), job["threads"], job["device"])
        self.path = Path(job["path"])
        self.directory = Path(job["directory"])
        self.session: Session | None = None

    def prepare(self) -> dict[str, Any]:
        path = self.path
        if self.runtime.prepare is not None:
            path = self.runtime.prepare(self.path, self.directory, self.options)
        return {"path": str(path)}

    def load(self) -> dict[str, Any]:
        before = memory_bytes("VmRSS")
        start = time.perf_counter_ns()
        for module in self.runtime.modules:
            importlib.import_module(module)
        imported = time.perf_counter_ns()
        self.session = self.runtime.load(self.path, self.options)
        loaded = time.perf_counter_ns()
        self.session.call()
        called = time.perf_counter_ns()
        output = self.directory / "output.npy"
        np.save(output, self.session.read())
        return {
            "import_ns": imported - start,
            "load_ns": loaded - imported,
            "first_inference_ns": called - loaded,
            "interpreter_bytes": before,
            "peak_bytes": memory_bytes("VmHWM"),
            "output": str(output),
            "details": dict(self.session.details),
        }

    def warm_up(self, count: int, seconds: float) -> dict[str, Any]:
        """Uncounted calls until the count is reached or the seconds are spent; at least one."""
        assert self.session is not None
        deadline = time.perf_counter() + seconds
        done, taken = 0, 0
        while done < max(count, 1):
            taken = int(sample(self.session, 1)[0])
            done += 1
            if time.perf_counter() > deadline:
                break
        return {"iterations": done, "latency_ns": taken}

    def sample(self, count: int) -> dict[str, Any]:
        """A turn: a tenth of the calls uncounted, because the caches were another's meanwhile, then the samples."""
        assert self.session is not None
        sample(self.session, max(1, count // _CALLS_A_WARM_ONE))
        return {"latency_ns": [int(value) for value in sample(self.session, count)]}

    def spin(self, seconds: float) -> dict[str, Any]:
        """Call without pause for a time, and count."""
        assert self.session is not None
        start = time.perf_counter_ns()
        deadline, calls = start + int(seconds * 1e9), 0
        while time.perf_counter_ns() < deadline:
            self.session.call()
            calls += 1
        return {"calls": calls, "elapsed_ns": time.perf_counter_ns() - start}

    def peak(self) -> dict[str, Any]:
        assert self.session is not None
        on_device = self.session.device_bytes
        return {"peak_bytes": memory_bytes("VmHWM"), "device_peak_bytes": on_device() if on_device else None}


def main() -> int:
    """Answer lines until standard input ends."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    if job["cpus"] is not None:
        os.sched_setaffinity(0, job["cpus"])
    contestant = _Contestant(job)
    for line in sys.stdin:
        request = json.loads(line)
        verb = request.pop("verb")
        try:
            answer = getattr(contestant, verb)(**request)
        except BenchError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=channel, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
