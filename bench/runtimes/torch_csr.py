"""Runtime `torch-csr`: the weights of every layer as torch CSR tensors (MKL on the CPU, cuSPARSE on a GPU)."""

from pathlib import Path

from bench.runtimes.base import LoadOptions, Runtime, Session, missing_modules, prepare_plain
from bench.runtimes.torch_eager import available_torch, torch_network, torch_session

__all__ = ["RUNTIME"]


def _available(device: str) -> str | None:
    return available_torch(device) or missing_modules(None, "scipy")


def _load(path: Path, options: LoadOptions) -> Session:
    module, x = torch_network(path, options, sparse=True)
    return torch_session(module, x, options.device)


RUNTIME = Runtime(
    summary="torch with CSR weights; convolutions as CSR times unfolded patches",
    suffixes=(".onnx",),
    devices=("cpu", "cuda"),
    modules=("torch", "scipy.sparse"),
    available=_available,
    load=_load,
    prepare=prepare_plain,
)
