"""What a target makes of a model: the contents of its files, and what there is to know of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Artifact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The files of one target.

    Parameters
    ----------
    files : mapping of str to bytes
        Contents by suffix, that of `-o` first.
    remarks : tuple of str
        What a user should know about them, a line each.
    forced : tuple of str
        Tensors that were written in another form than the smallest one, to keep a bound.
    max_load_memory : int
        Bytes that decoding was allowed at load beyond what loading the dense file takes; 0 where nothing is decoded.
    decoder : callable or None
        Gives an ONNX model without inputs whose outputs are the coded tensors as the file decodes them, in the order
        of the model; None where the file decodes nothing.
    """

    files: Mapping[str, bytes]
    remarks: tuple[str, ...] = ()
    forced: tuple[str, ...] = ()
    max_load_memory: int = 0
    decoder: Callable[[], bytes] | None = None
