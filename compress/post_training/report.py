"""What became of an ONNX file: per tensor, and as a whole."""

from dataclasses import dataclass

__all__ = ["OnnxReport", "TensorRow"]


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
    bytes_before, bytes_after : int
        Whole files; external data counted before.
    worst_error, mean_error : float
        Of the outputs against the original's, as fractions of an output's largest magnitude.
    error_on : str
        What the outputs were measured on.
    load_s, load_peak_bytes, run_s : pair
        Of the original and of the file written, in onnxruntime on one core; peak beyond the runtime's own.
    max_load_memory : int
        Bytes that decoding was allowed beyond what loading the original takes.
    notes : tuple of str
    """

    tensors: tuple[TensorRow, ...]
    small_tensors: int
    small_bytes: int
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
