"""How many images an ONNX file gets right, run by onnxruntime."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, first_line

__all__ = ["Accuracy", "measure_accuracy"]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Images that were classified right, of how many."""

    correct: int
    total: int

    @property
    def percent(self) -> float:
        return 100.0 * self.correct / self.total


def measure_accuracy(
    path: Path,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    batch_size: int = 500,
    progress: Callable[[int, int], None] | None = None,
) -> Accuracy:
    """Run a file in onnxruntime's CPU provider and compare its highest output with the label.

    Parameters
    ----------
    path : Path
        An ONNX file with one input and one output of logits [batch, classes]. Where it fixes the batch, that batch
        is used.
    inputs : float32 [n, ...]
    labels : int64 [n]
    batch_size : int
    progress : callable, optional
        Called with examples done and examples in all.

    Raises
    ------
    BenchError
        The file cannot be loaded, or its input or output does not fit the data.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a type of its own for every status
        raise BenchError(f"{path}: cannot be loaded by onnxruntime ({first_line(error)})") from error
    if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
        counts = f"{len(session.get_inputs())} inputs and {len(session.get_outputs())} outputs"
        raise BenchError(f"{path}: found {counts}, allowed one each")
    entry = session.get_inputs()[0]
    fits = len(entry.shape) == inputs.ndim and all(
        not isinstance(size, int) or size == found
        for size, found in zip(entry.shape[1:], inputs.shape[1:], strict=False)
    )
    if not fits or entry.type != "tensor(float)":
        raise BenchError(f"{path}: found an input {entry.type} {entry.shape}, allowed float32 {list(inputs.shape[1:])}")
    if len(labels) == 0:
        raise BenchError(f"{path}: found no examples, allowed at least one")
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else batch_size
    correct = 0
    for start in range(0, len(labels), batch):
        chunk, wanted = inputs[start : start + batch], labels[start : start + batch]
        short = batch - len(chunk) if isinstance(entry.shape[0], int) else 0
        if short:
            chunk = np.concatenate([chunk, np.zeros((short, *chunk.shape[1:]), np.float32)])
        logits = np.asarray(session.run(None, {entry.name: chunk})[0])
        if logits.ndim != 2 or logits.shape[1] <= int(labels.max()):
            raise BenchError(
                f"{path}: found an output of shape {logits.shape}, allowed [batch, classes], "
                f"more than {int(labels.max())} classes"
            )
        correct += int(np.count_nonzero(logits[: len(wanted)].argmax(1) == wanted))
        if progress is not None:
            progress(min(start + batch, len(labels)), len(labels))
    return Accuracy(correct, len(labels))
