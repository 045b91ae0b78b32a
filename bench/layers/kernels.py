"""The kernels that `bench layers` compares: one product of a weight with a batch, dense and CSR, on CPU and GPU."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import scipy.sparse

__all__ = ["KERNELS", "Kernel", "random_csr"]

Made = tuple[Callable[[], object], Callable[[], NDArray[np.float32]], int]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One way to compute W · x.

    Parameters
    ----------
    summary : str
    devices : tuple of str
    dense : bool
        The fastest dense kernel is what the sparse ones are compared with.
    make : callable
        `make(csr, x, device, threads)` puts a weight (outputs, inputs) and a batch (batch, inputs) in place and gives
        the call, a reader of its output (batch, outputs), and the bytes that the weight takes.
    """

    summary: str
    devices: tuple[str, ...]
    dense: bool
    make: Callable[["scipy.sparse.csr_matrix", NDArray[np.float32], str, int], Made]


def random_csr(rows: int, columns: int, density: float, rng: np.random.Generator) -> "scipy.sparse.csr_matrix":
    """A float32 CSR matrix of standard normal values at uniformly drawn places.

    Exactly round(density · rows · columns) places, ties to even; indices are int32 and ascending in each row.

    >>> random_csr(10, 20, 0.25, np.random.default_rng(0)).nnz
    50
    """
    import scipy.sparse

    nnz = round(density * rows * columns)
    per_row = np.empty(rows, dtype=np.int64)
    left, places = nnz, rows * columns
    for row in range(rows):
        places -= columns
        per_row[row] = rng.hypergeometric(columns, places, left) if left else 0
        left -= int(per_row[row])
    indptr = np.concatenate([[0], np.cumsum(per_row)]).astype(np.int32)
    indices = np.empty(nnz, dtype=np.int32)
    for row in range(rows):
        chosen = rng.choice(columns, per_row[row], replace=False, shuffle=False)
        indices[indptr[row] : indptr[row + 1]] = np.sort(chosen)
    values = rng.standard_normal(nnz, dtype=np.float32)
    return scipy.sparse.csr_matrix((values, indices, indptr), shape=(rows, columns))


def _torch_call(function: Callable[[], Any], device: str) -> tuple[Callable[[], object], Callable[[], Any]]:
    """A call that ends when the device is idle, and a reader of what it gave last."""
    import torch

    output: list[Any] = [None]

    def call() -> None:
        with torch.inference_mode():
            output[0] = function()
        if device == "cuda":
            torch.cuda.synchronize()

    return call, lambda: output[0].cpu().numpy()


def _torch_dense(csr: "scipy.sparse.csr_matrix", x: NDArray[np.float32], device: str, threads: int) -> Made:
    import torch

    weight = torch.from_numpy(csr.toarray()).to(device)
    batch = torch.from_numpy(x).to(device)
    call, read = _torch_call(lambda: torch.nn.functional.linear(batch, weight), device)
    return call, read, weight.numel() * 4


def _onnxruntime_dense(csr: "scipy.sparse.csr_matrix", x: NDArray[np.float32], device: str, threads: int) -> Made:
    import onnx
    import onnxruntime

    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
        "layer",
        [helper.make_tensor_value_info("x", float32, x.shape)],
        [helper.make_tensor_value_info("y", float32, (len(x), csr.shape[0]))],
        [onnx.numpy_helper.from_array(csr.toarray(), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    output: list[Any] = [None]

    def call() -> None:
        output[:] = session.run(None, {"x": x})

    return call, lambda: np.asarray(output[0]), csr.shape[0] * csr.shape[1] * 4


def _torch_csr(csr: "scipy.sparse.csr_matrix", x: NDArray[np.float32], device: str, threads: int) -> Made:
    import torch

    from bench.graphs.csr import csr_tensor

    weight = csr_tensor(csr).to(device)
    columns = torch.from_numpy(np.ascontiguousarray(x[0] if len(x) == 1 else x.T)).to(device)
    call, read = _torch_call(lambda: weight @ columns, device)
    return call, lambda: read().reshape(csr.shape[0], -1).T, _csr_bytes(csr)


def _scipy_csr(csr: "scipy.sparse.csr_matrix", x: NDArray[np.float32], device: str, threads: int) -> Made:
    columns = np.ascontiguousarray(x[0] if len(x) == 1 else x.T)
    output: list[Any] = [None]

    def call() -> None:
        output[0] = csr @ columns

    return call, lambda: output[0].reshape(csr.shape[0], -1).T, _csr_bytes(csr)


def _csr_bytes(csr: "scipy.sparse.csr_matrix") -> int:
    return int(csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes)


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "torch-dense": Kernel("torch linear: MKL on the CPU, cuBLAS on a GPU", ("cpu", "cuda"), True, _torch_dense),
        "onnxruntime-dense": Kernel("onnxruntime Gemm, weights packed at load", ("cpu",), True, _onnxruntime_dense),
        "torch-csr": Kernel("torch CSR: MKL on the CPU, cuSPARSE on a GPU", ("cpu", "cuda"), False, _torch_csr),
        "scipy-csr": Kernel("scipy.sparse CSR, one thread", ("cpu",), False, _scipy_csr),
    }
)
"""Name of a kernel → how it is made."""
