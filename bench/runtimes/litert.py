"""Runtime `litert`: LiteRT's interpreter with XNNPACK, on a float32 .tflite file, ours made from the ONNX file."""

from pathlib import Path

import numpy as np

from bench.errors import BenchError, first_line
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_modules, prepare_plain

__all__ = ["RUNTIME"]


def _available(device: str) -> str | None:
    return missing_modules("litert", "ai_edge_litert")


def _prepare(path: Path, directory: Path, options: LoadOptions) -> Path:
    from bench.graphs.tflite.convert import tflite_of_onnx

    if path.suffix == ".tflite":
        return path
    target = directory / "network.tflite"
    target.write_bytes(tflite_of_onnx(prepare_plain(path, directory, options)))
    return target


def _load(path: Path, options: LoadOptions) -> Session:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=options.threads)
        source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        batch = options.inputs.transpose(0, 2, 3, 1) if options.inputs.ndim == 4 else options.inputs
        if tuple(source["shape"]) != batch.shape:
            interpreter.resize_tensor_input(source["index"], batch.shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], np.ascontiguousarray(batch))
    except (RuntimeError, ValueError) as error:
        raise BenchError(f"{path.name}: LiteRT refuses it ({first_line(error)})") from error

    def read() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        output = np.asarray(interpreter.get_tensor(sink["index"]), dtype=np.float32)
        return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output

    return Session(interpreter.invoke, read, details={"layout": "NHWC, transposed before the clock starts"})


RUNTIME = Runtime(
    summary="LiteRT (TensorFlow Lite) with XNNPACK, float32",
    suffixes=(".onnx", ".tflite"),
    devices=("cpu",),
    modules=("ai_edge_litert.interpreter",),
    available=_available,
    load=_load,
    prepare=_prepare,
)
