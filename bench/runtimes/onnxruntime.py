"""Runtime `onnxruntime`: the stock CPU provider; its float32 output is the reference for all others."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, first_line
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_modules

__all__ = ["IO_BINDING", "RUNTIME", "cpu_session", "reference"]


def cpu_session(path: Path, threads: int) -> Any:
    """An InferenceSession on the CPU with exactly `threads` threads.

    Raises
    ------
    BenchError
        onnxruntime refuses the file.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NoSuchFile,
            state.NotImplemented, state.RuntimeException) as error:  # fmt: skip
        raise BenchError(f"{path.name}: onnxruntime refuses it ({first_line(error)})") from error


def reference(path: Path, inputs: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
    """The float32 output of stock onnxruntime, which every contestant has to agree with."""
    session = cpu_session(path, threads)
    (output,) = session.run(None, {session.get_inputs()[0].name: inputs})
    return np.asarray(output, dtype=np.float32)


def _load(path: Path, options: LoadOptions) -> Session:
    session = cpu_session(path, options.threads)
    feed = {session.get_inputs()[0].name: options.inputs}
    output: list[Any] = []

    def call() -> None:
        output[:] = session.run(None, feed)

    return Session(call, lambda: np.asarray(output[0], dtype=np.float32))


def _load_bound(path: Path, options: LoadOptions) -> Session:
    session = cpu_session(path, options.threads)
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, options.inputs)
    binding.bind_output(session.get_outputs()[0].name)

    def call() -> None:
        session.run_with_iobinding(binding)

    return Session(call, lambda: np.asarray(binding.copy_outputs_to_cpu()[0], dtype=np.float32))


def _available(device: str) -> str | None:
    return missing_modules(None, "onnxruntime")


RUNTIME = Runtime(
    summary="onnxruntime's CPU provider, InferenceSession.run",
    suffixes=(".onnx",),
    devices=("cpu",),
    modules=("onnxruntime",),
    available=_available,
    load=_load,
)

IO_BINDING = Runtime(
    summary="onnxruntime's CPU provider, input and output bound once",
    suffixes=(".onnx",),
    devices=("cpu",),
    modules=("onnxruntime",),
    available=_available,
    load=_load_bound,
)
