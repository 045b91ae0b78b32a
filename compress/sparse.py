"""A coded tensor as a sparse matrix: the view in which Deep Compression stores weights (Han et al. 2016, section 2)."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from compress.representation import CodedTensor

__all__ = ["CsrCodes", "csr_of", "matrix_shape"]


@dataclass(frozen=True, slots=True)
class CsrCodes:
    """Codes in compressed sparse row form.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the matrix.
    indptr : int64 [rows + 1]
        Row r holds the entries indptr[r] to indptr[r + 1].
    indices : int32 [nnz]
        Column of every entry, ascending within a row.
    codes : uint8 [nnz]
    """

    shape: tuple[int, int]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    codes: NDArray[np.uint8]


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The two-dimensional view of a tensor: the first axis becomes the rows, all others the columns; a vector is a row.

    >>> matrix_shape((16, 6, 5, 5)), matrix_shape((10,)), matrix_shape(())
    ((16, 150), (1, 10), (1, 1))
    """
    if len(shape) < 2:
        return 1, prod(shape)
    return shape[0], prod(shape[1:])


def csr_of(tensor: CodedTensor) -> CsrCodes:
    """A coded tensor as a sparse matrix of codes, rows and columns in storage order (Han et al. 2016, section 2).

    >>> mask = np.array([[False, True], [True, True]])
    >>> csr = csr_of(CodedTensor.of_mask("w", mask, np.array([3, 0, 1]), np.arange(4), 2))
    >>> csr.indptr.tolist(), csr.indices.tolist(), csr.codes.tolist()
    ([0, 1, 3], [1, 0, 1], [3, 0, 1])
    """
    rows, columns = matrix_shape(tensor.stored_shape)
    positions = tensor.places()
    indptr = np.searchsorted(positions, np.arange(rows + 1, dtype=np.int64) * columns)
    return CsrCodes(
        (rows, columns), indptr, (positions % max(columns, 1)).astype(np.int32), tensor.codes.astype(np.uint8)
    )
