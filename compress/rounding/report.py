"""What became of an ONNX file: per tensor, and as a whole."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.onnx_file.find import Weight
from compress.rounding.tensor import Coded, coded_bits

__all__ = ["OnnxReport", "TensorRow", "row_of_coded", "row_of_left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRow:
    """One tensor of the file.

    Parameters
    ----------
    label : str
    operators : tuple of str
        That read it.
    shape : tuple of int
    element : str
    how : str
        `shared`, `lossless`, or `left`.
    reason : str
        Why it was left, or why it is coded with fixed widths; empty otherwise.
    bits : int or None
        Width of a code, where it was shared.
    zeros : float
        Fraction of the elements that take no code.
    dense_bytes, coded_bytes : int
        As it was; as it is, estimated by the entropy or the width of its codes and gaps, codebook included.
    rms_error : float
        Root mean square of what rounding changed, as a fraction of the weights' own.
    """

    label: str
    operators: tuple[str, ...]
    shape: tuple[int, ...]
    element: str
    how: str
    reason: str
    bits: int | None
    zeros: float
    dense_bytes: int
    coded_bytes: int
    rms_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxReport:
    """The whole file, before and after.

    Parameters
    ----------
    tensors : tuple of TensorRow
    small_tensors, small_bytes : int
        Those that stay because they have fewer than 256 elements, or are vectors of fewer than 4,096: how many they
        are, and the bytes of their elements.
    target : str
        What was written: key in the table of targets.
    bytes_before, bytes_after : int
        Whole files; external data counted before.
    worst_error, mean_error : float
        Of the outputs against the original's, as fractions of an output's largest magnitude.
    error_on : str
        What the outputs were measured on.
    load_s, load_peak_bytes, run_s : pair
        Of the original and of what was written, in onnxruntime on one core; peak beyond the runtime's own. Of a target
        that is no ONNX file, of the dense ONNX file that it stands for.
    max_load_memory : int
        Bytes that decoding was allowed beyond what loading the original takes; 0 where nothing is decoded at load.
    notes : tuple of str
    """

    tensors: tuple[TensorRow, ...]
    small_tensors: int
    small_bytes: int
    target: str
    bytes_before: int
    bytes_after: int
    worst_error: float
    mean_error: float
    error_on: str
    load_s: tuple[float, float]
    load_peak_bytes: tuple[int, int]
    run_s: tuple[float | None, float | None]
    max_load_memory: int
    notes: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Bytes after, as a fraction of the bytes before."""
        return self.bytes_after / self.bytes_before


def row_of_coded(weight: Weight, coded: Coded, change: NDArray[np.float32]) -> TensorRow:
    """The row of a tensor that is coded; `change` is its coded elements less its own, of any shape."""
    tensor = coded.tensor
    own = weight.array().reshape(-1).astype(np.float32, copy=False)
    power = float(np.dot(own, own))
    changed = change.reshape(-1)
    return TensorRow(
        label=weight.label,
        operators=weight.operators,
        shape=weight.shape,
        element=weight.element.name,
        how="lossless" if coded.exact else "shared",
        reason="",
        bits=max(1, (tensor.codebook.size - 1).bit_length()),
        zeros=1 - tensor.nnz / tensor.size,
        dense_bytes=weight.dense_bytes,
        coded_bytes=int(coded_bits(tensor) / 8),
        rms_error=(float(np.dot(changed, changed)) / power) ** 0.5 if power else 0.0,
    )


def row_of_left(label: str, reason: str, weight: Weight | None = None) -> TensorRow:
    """The row of a tensor that stays as it is."""
    return TensorRow(
        label=label,
        operators=weight.operators if weight else (),
        shape=weight.shape if weight else (),
        element=weight.element.name if weight else "",
        how="left",
        reason=reason,
        bits=None,
        zeros=0.0,
        dense_bytes=weight.dense_bytes if weight else 0,
        coded_bytes=weight.dense_bytes if weight else 0,
        rms_error=0.0,
    )
