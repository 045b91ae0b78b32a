"""Runtime `openvino`: OpenVINO's CPU plugin in float32, compiled for the batch."""

from pathlib import Path

import numpy as np

from bench.errors import BenchError
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_modules

__all__ = ["RUNTIME"]


def _available(device: str) -> str | None:
    return missing_modules("openvino", "openvino")


def _load(path: Path, options: LoadOptions) -> Session:
    import openvino

    core = openvino.Core()
    try:
        model = core.read_model(path)
        model.reshape(list(options.inputs.shape))
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": options.threads,
            "NUM_STREAMS": 1,
        }
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise BenchError(f"{path.name}: OpenVINO refuses it ({str(error).strip().splitlines()[-1]})") from error
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(options.inputs, shared_memory=True))
    return Session(request.infer, lambda: np.array(request.get_output_tensor().data, dtype=np.float32))


RUNTIME = Runtime(
    summary="OpenVINO's CPU plugin, float32, latency hint, one stream",
    suffixes=(".onnx", ".xml"),
    devices=("cpu",),
    modules=("openvino",),
    available=_available,
    load=_load,
)
