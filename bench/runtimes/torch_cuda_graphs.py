"""Runtime `torch-cuda-graphs`: the eager module's kernels captured once and replayed, without Python between them."""

from pathlib import Path

import numpy as np

from bench.runtimes.base import LoadOptions, Runtime, Session, prepare_plain
from bench.runtimes.torch_eager import available_torch, gpu_bytes, torch_network

__all__ = ["RUNTIME"]

_CALLS_BEFORE_CAPTURE = 3
"""cuBLAS and cuDNN choose kernels and allocate workspaces in their first calls, which a capture does not allow."""


def _load(path: Path, options: LoadOptions) -> Session:
    import torch

    module, x = torch_network(path, options)
    with torch.inference_mode():
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has not typed it
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_CALLS_BEFORE_CAPTURE):
                module(x)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = module(x)

    def call() -> None:
        graph.replay()
        torch.cuda.synchronize()

    return Session(call, lambda: np.asarray(output.cpu().numpy(), dtype=np.float32), device_bytes=gpu_bytes)


RUNTIME = Runtime(
    summary="torch on the GPU, kernels captured in a CUDA graph and replayed",
    suffixes=(".onnx",),
    devices=("cuda",),
    modules=("torch",),
    available=available_torch,
    load=_load,
    prepare=prepare_plain,
)
