"""Runtime `onnxruntime-int8`: static QDQ by onnxruntime's own quantiser, calibrated on the inputs it will run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.runtimes import onnxruntime as stock
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_modules, prepare_plain

__all__ = ["RUNTIME"]

_TOLERANCE = 0.1
"""Eight bits for weights and activations: a tenth of the largest output is a broken quantisation, less is its price.
What the price was stands in the report."""


def _available(device: str) -> str | None:
    return missing_modules(None, "onnxruntime", "onnxruntime.quantization")


def _prepare(path: Path, directory: Path, options: LoadOptions) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self, name: str, batch: NDArray[np.float32]) -> None:
            self._batches: Iterator[dict[str, Any]] = iter([{name: batch}])

        def get_next(self) -> dict[str, Any] | None:
            return next(self._batches, None)

    plain = prepare_plain(path, directory, options)
    ready, target = directory / "ready.onnx", directory / "int8.onnx"
    quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
    name = stock.cpu_session(plain, 1).get_inputs()[0].name
    quantize_static(
        str(ready),
        str(target),
        Reader(name, options.inputs),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    return target


def _load(path: Path, options: LoadOptions) -> Session:
    return stock.RUNTIME.load(path, options)


RUNTIME = Runtime(
    summary="onnxruntime's CPU provider on static QDQ int8, per-channel weights",
    suffixes=(".onnx",),
    devices=("cpu",),
    modules=("onnxruntime",),
    available=_available,
    load=_load,
    prepare=_prepare,
    tolerance=_TOLERANCE,
)
