"""CSR weights in torch: a fully connected layer and a convolution as products with a sparse matrix."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import scipy.sparse
    import torch

__all__ = ["conv2d_csr", "csr_tensor", "linear_csr", "to_csr"]


def to_csr(matrix: NDArray[np.float32]) -> "torch.Tensor":
    """The nonzeros of a matrix as a torch CSR tensor."""
    import scipy.sparse

    return csr_tensor(scipy.sparse.csr_matrix(matrix))


def csr_tensor(csr: "scipy.sparse.csr_matrix") -> "torch.Tensor":
    """A scipy CSR matrix as a torch CSR tensor with int32 indices, the ones that MKL takes as they are."""
    import torch

    with warnings.catch_warnings():
        # torch warns once that CSR support is in beta state; that is what is measured here.
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(csr.indptr.astype(np.int32)),
            torch.from_numpy(csr.indices.astype(np.int32)),
            torch.from_numpy(csr.data),
            size=csr.shape,
            check_invariants=False,
        )


def linear_csr(x: "torch.Tensor", weight: "torch.Tensor", bias: Any) -> "torch.Tensor":
    """x · Wᵀ + b for x (batch, in) and a CSR W (out, in); one image is a sparse matrix–vector product."""
    y = (weight @ x[0]).unsqueeze(0) if x.shape[0] == 1 else (weight @ x.t()).t()
    return y if bias is None else y + bias


def conv2d_csr(
    x: "torch.Tensor",
    weight: "torch.Tensor",
    bias: Any,
    kernel: list[int],
    strides: list[int],
    pads: list[int],
    dilations: list[int],
) -> "torch.Tensor":
    """A convolution as W · patches for a CSR W (out, in · kernel)."""
    import torch

    batch = x.shape[0]
    rows, columns = (
        (x.shape[2 + axis] + 2 * pads[axis] - dilations[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1
        for axis in (0, 1)
    )
    patches = torch.nn.functional.unfold(x, tuple(kernel), tuple(dilations), tuple(pads), tuple(strides))
    flat = patches[0] if batch == 1 else patches.permute(1, 0, 2).reshape(patches.shape[1], -1)
    y = (weight @ flat).reshape(-1, batch, rows, columns)
    y = y.permute(1, 0, 2, 3)
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)
