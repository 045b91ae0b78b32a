"""Run an ONNX file in onnxruntime, in a process of its own, and compare what two files give."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressError, UsageError
from compress.output_error import OutputError
from compress.rounding.feeds import load_arrays, save_feeds

__all__ = [
    "Probe",
    "digests_of",
    "means_of",
    "random_feeds",
    "read_feeds",
    "run_file",
    "vary_weights",
]

_HOME = str(Path(__file__).resolve().parents[2])
"""Where our packages are, installed or not."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file did: seconds and peak bytes of loading, seconds of its quickest run, outputs by feed and name.

    `load_cpu_s` are the seconds in which the processor worked on loading, on a busy machine fewer than `load_s`.
    """

    load_s: float
    load_cpu_s: float
    load_peak_bytes: int
    run_s: float | None
    outputs: Mapping[str, NDArray[Any]]


def random_feeds(model: Path, out: Path) -> None:
    """Write random inputs of the declared shapes that the model takes.

    Raises
    ------
    CompressError
        onnxruntime does not load the model, or takes none of the sizes tried for its open axes.
    """
    answer = _call("feeds", model, out)
    if not answer["feeds"]:
        raise CompressError(f"{model}: takes no random input ({answer['reason']}), allowed with --calibration")


def read_feeds(calibration: Path, model: Any, out: Path) -> None:
    """Write the inputs of an .npz file, an array for every input: one feed, or a stack of feeds with one axis more.

    Raises
    ------
    UsageError
        Inputs are missing or unknown, or the arrays do not fit them.
    CompressError
        The file cannot be read.
    """
    stored = {initializer.name for initializer in model.graph.initializer}
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.input if value.name not in stored
    }
    arrays = load_arrays(calibration)
    if set(arrays) != set(ranks):
        raise UsageError(f"calibration: found arrays {sorted(arrays)}, allowed the inputs {sorted(ranks)}")
    stacked = {name: array.ndim == ranks[name] + 1 for name, array in arrays.items()}
    counts = {len(arrays[name]) for name, many in stacked.items() if many}
    wrong = [name for name, array in arrays.items() if not stacked[name] and array.ndim != ranks[name]]
    if wrong or len(counts) > 1:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise UsageError(
            f"calibration: found shapes {shapes}, allowed axes {ranks}, or one axis of feeds more in front"
        )
    number = counts.pop() if counts else 1
    save_feeds(
        out,
        [{name: array[index] if stacked[name] else array for name, array in arrays.items()} for index in range(number)],
    )


def run_file(model: Path, feeds: Path, out: Path) -> Probe:
    """Load a file and run every feed.

    Raises
    ------
    CompressError
        onnxruntime refuses the file or a feed.
    """
    answer = _call("run", model, feeds, out)
    return Probe(outputs=load_arrays(out), **answer)


def digests_of(model: Path) -> dict[str, str]:
    """SHA-256 of the bytes of every output of a model that has no inputs."""
    return {str(name): str(value) for name, value in _call("digest", model).items()}


def vary_weights(
    model: Path, feeds: Path, base: Path, other: Path, *, together: bool = False
) -> dict[str, OutputError]:
    """What the outputs of a model whose weights are inputs lose when `other` takes a weight's place.

    Parameters
    ----------
    model, feeds : Path
    base, other : Path
        Weights by input name (.npz).
    together : bool
        All of `other` at once, under the key "", instead of one after the other.
    """
    answer = _call("vary", model, feeds, base, other, *(["together"] if together else []))
    return {name: OutputError(**loss) for name, loss in answer.items()}


def means_of(model: Path, feeds: Path, axes: Mapping[str, int], folder: Path) -> dict[str, NDArray[np.float32]]:
    """Mean of every output named in `axes` over all feeds and all axes but the one it is given with."""
    told, out = folder / "axes.json", folder / "means.npz"
    told.write_text(json.dumps(dict(axes)))
    _call("means", model, feeds, told, out)
    return load_arrays(out)


def _call(verb: str, *arguments: Path | str) -> dict[str, Any]:
    paths = (_HOME, os.environ.get("PYTHONPATH"))
    done = subprocess.run(
        [sys.executable, "-m", "compress.rounding.worker", verb, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(filter(None, paths))),
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else f"the process ended with {done.returncode}"
        raise CompressError(f"{arguments[0]}: onnxruntime refuses it ({reason})")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
