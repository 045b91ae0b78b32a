"""A process of its own in which onnxruntime loads and runs one ONNX file.

    python -m compress.rounding.worker VERB ARGUMENTS

    feeds MODEL FEEDS.npz         find random inputs that the model takes
    run MODEL FEEDS.npz OUT.npz   load it, run every feed, keep the outputs
    digest MODEL                  SHA-256 of every output of a model without inputs
    vary MODEL FEEDS.npz BASE.npz OTHER.npz [together]
                                  weights are inputs: what the outputs lose when one of them (or all of them together)
                                  is the other one
    means MODEL FEEDS.npz AXES.json OUT.npz
                                  mean of every output over all axes but the one told

Prints one JSON object. Files of arrays are those of `compress.rounding.feeds`.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import first_line
from compress.output_error import output_error
from compress.rounding.feeds import load_arrays, load_feeds, save_arrays, save_feeds

_SIZES = (64, 32, 128, 256, 224, 512, 16, 8, 640, 1)
"""For an open axis, one after the other until the model takes one: powers of two first, then what images have."""

_FEEDS = 4
"""Random inputs: enough to tell layers apart, few enough for a slow model."""

_TYPES = {
    "float": np.float32,
    "float16": np.float16,
    "double": np.float64,
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
    "uint16": np.uint16,
    "int32": np.int32,
    "uint32": np.uint32,
    "int64": np.int64,
    "uint64": np.uint64,
    "bool": np.bool_,
}


def _load(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _random(inputs: Sequence[Any], batch: int, size: int, seed: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(seed)
    feed = {}
    for value in inputs:
        kind = value.type.removeprefix("tensor(").removesuffix(")")
        if kind not in _TYPES:
            raise ValueError(f"input {value.name} is a {value.type}")
        shape = []
        for axis, length in enumerate(value.shape):
            known = isinstance(length, int) and length > 0
            shape.append(length if known else batch if axis == 0 else size)
        dtype = np.dtype(_TYPES[kind])
        drawn = generator.normal(size=shape) if dtype.kind == "f" else generator.integers(0, 2, size=shape)
        feed[value.name] = np.asarray(drawn).astype(dtype)
    return feed


def _candidates() -> Iterator[tuple[int, int]]:
    for size in _SIZES:
        yield 1, size
    for size in _SIZES:
        yield size, size


def feeds(model: str, out: str) -> dict[str, Any]:
    session = _load(model)
    inputs = session.get_inputs()
    reason = "it has no sizes to try"
    for batch, size in _candidates():
        try:
            chosen = [_random(inputs, batch, size, seed) for seed in range(_FEEDS)]
            for feed in chosen:
                session.run(None, feed)
        except Exception as error:  # noqa: BLE001 - the runtime raises many kinds; the last one is reported
            reason = first_line(error)
            continue
        save_feeds(out, chosen)
        return {"feeds": len(chosen)}
    return {"feeds": 0, "reason": reason}


def run(model: str, stored: str, out: str) -> dict[str, Any]:
    import onnxruntime  # noqa: F401 - its own weight is not the model's

    before = _peak_bytes()
    start, start_cpu = time.perf_counter(), time.process_time()
    session = _load(model)
    load_s, load_cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    load_peak = _peak_bytes() - before
    names = [value.name for value in session.get_outputs()]
    outputs, taken = {}, []
    for number, feed in enumerate(load_feeds(stored)):
        start = time.perf_counter()
        results = session.run(None, feed)
        taken.append(time.perf_counter() - start)
        for name, result in zip(names, results, strict=True):
            if isinstance(result, np.ndarray) and result.dtype.kind in "fiub":
                outputs[f"{number}/{name}"] = result
    save_arrays(out, outputs.items())
    return {
        "load_s": load_s,
        "load_cpu_s": load_cpu_s,
        "load_peak_bytes": load_peak,
        "run_s": min(taken) if taken else None,
    }


def digest(model: str) -> dict[str, Any]:
    session = _load(model)
    names = [value.name for value in session.get_outputs()]
    found = {}
    for name in names:
        [array] = session.run([name], {})
        found[name] = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return found


def vary(model: str, stored: str, base: str, other: str, together: str = "") -> dict[str, Any]:
    session = _load(model)
    names = [value.name for value in session.get_outputs()]
    feeds_of_model, weights = load_feeds(stored), load_arrays(base)

    def outputs(changed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        results = [session.run(None, {**feed, **weights, **changed}) for feed in feeds_of_model]
        return {
            f"{number}/{name}": array
            for number, arrays in enumerate(results)
            for name, array in zip(names, arrays, strict=True)
            if isinstance(array, np.ndarray) and array.dtype.kind == "f"
        }

    wanted = outputs({})
    losses: dict[str, dict[str, float]] = {}
    with np.load(other, allow_pickle=False) as archive:  # one at a time: together they may be as large as the model
        trials = {"": archive.files} if together else {name: [name] for name in archive.files}
        for label, changing in trials.items():
            losses[label] = asdict(output_error(wanted, outputs({name: archive[name] for name in changing})))
    return losses


def means(model: str, stored: str, axes: str, out: str) -> dict[str, Any]:
    session = _load(model)
    axis_of = json.loads(Path(axes).read_text())
    sums: dict[str, NDArray[np.float64]] = {}
    feeds_of_model = load_feeds(stored)
    for feed in feeds_of_model:
        for name, result in zip(axis_of, session.run(list(axis_of), feed), strict=True):
            kept = axis_of[name] % result.ndim
            mean = result.mean(axis=tuple(axis for axis in range(result.ndim) if axis != kept), dtype=np.float64)
            sums[name] = sums.get(name, 0.0) + mean / len(feeds_of_model)
    save_arrays(out, ((name, value.astype(np.float32)) for name, value in sums.items()))
    return {}


_VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "feeds": feeds,
    "run": run,
    "digest": digest,
    "vary": vary,
    "means": means,
}

if __name__ == "__main__":
    print(json.dumps(_VERBS[sys.argv[1]](*sys.argv[2:])))
