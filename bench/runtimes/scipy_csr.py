"""Runtime `scipy-csr`: the weights of every layer as scipy.sparse CSR matrices, the rest in NumPy."""

from pathlib import Path
from typing import Any

import numpy as np

from bench.graphs.read import read_graph
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_modules, prepare_plain

__all__ = ["RUNTIME"]


def _available(device: str) -> str | None:
    return missing_modules(None, "scipy")


def _load(path: Path, options: LoadOptions) -> Session:
    import scipy.sparse

    from bench.graphs.numpy_function import numpy_function

    run = numpy_function(read_graph(path), scipy.sparse.csr_matrix)
    output: list[Any] = [None]

    def call() -> None:
        output[0] = run(options.inputs)

    return Session(call, lambda: np.asarray(output[0], dtype=np.float32), details={"threads": 1})


RUNTIME = Runtime(
    summary="NumPy with scipy.sparse CSR weights; convolutions as CSR times unfolded patches; one thread",
    suffixes=(".onnx",),
    devices=("cpu",),
    modules=("scipy.sparse",),
    available=_available,
    load=_load,
    prepare=prepare_plain,
)
