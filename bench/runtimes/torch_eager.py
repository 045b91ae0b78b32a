"""Runtime `torch`: the network as plain torch calls, run eagerly, on the CPU or a GPU."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.graphs.read import read_graph
from bench.runtimes.base import LoadOptions, Runtime, Session, missing_cuda, missing_modules, prepare_plain

if TYPE_CHECKING:
    import torch

__all__ = ["RUNTIME", "available_torch", "gpu_bytes", "torch_network", "torch_session"]


def available_torch(device: str) -> str | None:
    """None where torch runs on `device`, else the reason."""
    return missing_cuda() if device == "cuda" else missing_modules(None, "torch")


def gpu_bytes() -> int:
    """The most that torch has allocated on the GPU in this process."""
    import torch

    return torch.cuda.max_memory_allocated()


def torch_network(path: Path, options: LoadOptions, *, sparse: bool = False) -> "tuple[torch.nn.Module, torch.Tensor]":
    """The module in inference mode and its input, both on the device, with the threads set.

    TF32 stays off, so that a GPU is compared in the same float32.
    """
    import torch

    from bench.graphs.torch_module import torch_module

    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    module = torch_module(read_graph(path), sparse=sparse).to(options.device)
    return module, torch.from_numpy(options.inputs).to(options.device)


def torch_session(function: Any, x: "torch.Tensor", device: str) -> Session:
    """A session around a function of one tensor; on a GPU a call ends when the GPU is idle."""
    import torch

    output: list[Any] = [None]

    def on_cpu() -> None:
        output[0] = function(x)

    def on_gpu() -> None:
        output[0] = function(x)
        torch.cuda.synchronize()

    def inference(call: Any) -> Any:
        def run() -> None:
            with torch.inference_mode():
                call()

        return run

    call = inference(on_gpu if device == "cuda" else on_cpu)
    return Session(
        call,
        lambda: np.asarray(output[0].detach().cpu().numpy(), dtype=np.float32),
        device_bytes=gpu_bytes if device == "cuda" else None,
    )


def _load(path: Path, options: LoadOptions) -> Session:
    module, x = torch_network(path, options)
    return torch_session(module, x, options.device)


RUNTIME = Runtime(
    summary="torch, eager, float32",
    suffixes=(".onnx",),
    devices=("cpu", "cuda"),
    modules=("torch",),
    available=available_torch,
    load=_load,
    prepare=prepare_plain,
)
