"""From a file to measured calls: one runtime a file, all of them listed in RUNTIMES."""

from collections.abc import Mapping
from types import MappingProxyType

from bench.runtimes import onnxruntime, torch_eager
from bench.runtimes.base import LoadOptions, Runtime, Session

__all__ = ["RUNTIMES", "LoadOptions", "Runtime", "Session"]

RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {
        "torch": torch_eager.RUNTIME,
        "onnxruntime": onnxruntime.RUNTIME,
        "onnxruntime-iobinding": onnxruntime.IO_BINDING,
    }
)
"""Name of a runtime → how it is found, loaded and run."""
