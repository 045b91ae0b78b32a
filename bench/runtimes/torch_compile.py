"""Runtime `torch-compile`: the same module through TorchInductor; the compilation is part of the first inference."""

import os
import shutil
import sysconfig
from pathlib import Path

from bench.runtimes.base import LoadOptions, Runtime, Session, missing_modules, prepare_plain
from bench.runtimes.torch_eager import available_torch, torch_network, torch_session

__all__ = ["RUNTIME"]


def _available(device: str) -> str | None:
    if reason := available_torch(device):
        return reason
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"found no C++ compiler {compiler}, which TorchInductor needs"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "found no Python.h, which TorchInductor's generated code includes"
    return missing_modules(None, "triton") if device == "cuda" else None


def _load(path: Path, options: LoadOptions) -> Session:
    import torch

    module, x = torch_network(path, options)
    return torch_session(torch.compile(module, fullgraph=True, dynamic=False), x, options.device)


RUNTIME = Runtime(
    summary="torch.compile (TorchInductor), float32, static shapes",
    suffixes=(".onnx",),
    devices=("cpu", "cuda"),
    modules=("torch",),
    available=_available,
    load=_load,
    prepare=prepare_plain,
)
