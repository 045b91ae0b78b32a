"""From a file to measured calls: one runtime a file, all of them listed in RUNTIMES."""

from collections.abc import Mapping
from types import MappingProxyType

from bench.runtimes import (
    c,
    litert,
    ncnn,
    onnxruntime,
    onnxruntime_cuda,
    onnxruntime_int8,
    openvino,
    scipy_csr,
    tensorrt,
    torch_compile,
    torch_csr,
    torch_cuda_graphs,
    torch_eager,
)
from bench.runtimes.base import LoadOptions, Runtime, Session

__all__ = ["RUNTIMES", "LoadOptions", "Runtime", "Session"]

RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {
        "torch": torch_eager.RUNTIME,
        "torch-compile": torch_compile.RUNTIME,
        "torch-csr": torch_csr.RUNTIME,
        "torch-cuda-graphs": torch_cuda_graphs.RUNTIME,
        "scipy-csr": scipy_csr.RUNTIME,
        "onnxruntime": onnxruntime.RUNTIME,
        "onnxruntime-iobinding": onnxruntime.IO_BINDING,
        "onnxruntime-int8": onnxruntime_int8.RUNTIME,
        "onnxruntime-cuda": onnxruntime_cuda.RUNTIME,
        "openvino": openvino.RUNTIME,
        "litert": litert.RUNTIME,
        "ncnn": ncnn.RUNTIME,
        "tensorrt": tensorrt.RUNTIME,
        "c": c.RUNTIME,
        "c-inside": c.INSIDE,
    }
)
"""Name of a runtime → how it is found, loaded and run."""
