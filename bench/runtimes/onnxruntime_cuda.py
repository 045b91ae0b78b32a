"""Runtime `onnxruntime-cuda`: onnxruntime's CUDA provider, input and output bound on the GPU."""

from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_cuda, missing_modules

__all__ = ["RUNTIME"]

_PROVIDER = "CUDAExecutionProvider"


def _available(device: str) -> str | None:
    if reason := missing_cuda() or missing_modules("onnxruntime-cuda", "onnxruntime"):
        return reason
    import onnxruntime

    found = onnxruntime.get_available_providers()
    if _PROVIDER not in found:
        return f"found onnxruntime with {', '.join(found)}, allowed a build with {_PROVIDER} (extra [onnxruntime-cuda])"
    return None


def _load(path: Path, options: LoadOptions) -> Session:
    import onnxruntime

    onnxruntime.preload_dlls()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.log_severity_level = 3
    provider: tuple[str, dict[str, Any]] = (_PROVIDER, {"device_id": 0, "use_tf32": 0})
    session = onnxruntime.InferenceSession(str(path), settings, providers=[provider, "CPUExecutionProvider"])
    if session.get_providers()[0] != _PROVIDER:
        raise BenchError(f"{path.name}: onnxruntime fell back to {session.get_providers()[0]}, allowed {_PROVIDER}")
    binding = session.io_binding()
    batch = onnxruntime.OrtValue.ortvalue_from_numpy(options.inputs, "cuda", 0)
    binding.bind_ortvalue_input(session.get_inputs()[0].name, batch)
    binding.bind_output(session.get_outputs()[0].name, "cuda")

    def call() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return Session(call, lambda: np.asarray(binding.copy_outputs_to_cpu()[0], dtype=np.float32))


RUNTIME = Runtime(
    summary="onnxruntime's CUDA provider, float32, input and output bound on the GPU",
    suffixes=(".onnx",),
    devices=("cuda",),
    modules=("onnxruntime",),
    available=_available,
    load=_load,
)
