"""Latencies of ONNX files in onnxruntime, side by side in one process."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["inference_ns"]

_WARM_UP = 10
"""Calls that are not counted: in the first ones a runtime still allocates."""


def inference_ns(paths: Mapping[str, Path], feed: Mapping[str, NDArray[np.generic]], calls: int) -> dict[str, float]:
    """Median nanoseconds of a call on one core, the files in turns, call by call; loading is not counted."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    sessions = {
        kind: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for kind, path in paths.items()
    }
    taken: dict[str, list[int]] = {kind: [] for kind in sessions}
    for number in range(calls + _WARM_UP):
        for kind, session in sessions.items():
            start = time.perf_counter_ns()
            session.run(None, dict(feed))
            if number >= _WARM_UP:
                taken[kind].append(time.perf_counter_ns() - start)
    return {kind: statistics.median(samples) for kind, samples in taken.items()}
