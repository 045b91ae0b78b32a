"""An ONNX model as the bytes of its files: one, and one of external data where that would be too large."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["LARGEST_MESSAGE", "move_in_", "serialise"]

LARGEST_MESSAGE = (1 << 31) - (1 << 24)
"""Bytes of data from which on a model's tensors go to a file of their own: protobuf takes 2 GiB, all else included."""

_LEAST_EXTERNAL = 1024
"""Bytes of a tensor that is worth a page of its own; the onnx package draws the line there as well."""

_ALIGNMENT = 4096
"""External data begin at pages, so that a runtime may map them."""


def serialise(model: "onnx.ModelProto", stem: str, *, largest: int | None = None) -> Mapping[str, bytes]:
    """The contents of a model's files by suffix; equal models give equal bytes.

    Parameters
    ----------
    model : ModelProto
        Its initialisers' data are moved out where they are too large for one message.
    stem : str
        Name of the files without suffix: the model refers to `stem`.onnx.data by it.
    largest : int or None
        In place of LARGEST_MESSAGE.

    Returns
    -------
    mapping
        `.onnx`, and `.onnx.data` where there are external data.
    """
    tensors = [tensor for tensor in model.graph.initializer if len(tensor.raw_data) >= _LEAST_EXTERNAL]
    if sum(len(tensor.raw_data) for tensor in tensors) <= (LARGEST_MESSAGE if largest is None else largest):
        return {".onnx": model.SerializeToString(deterministic=True)}
    chunks: list[bytes] = []
    size = 0
    for tensor in tensors:
        data = tensor.raw_data
        tensor.ClearField("raw_data")
        _refer_(tensor, f"{stem}.onnx.data", size, len(data))
        padding = -len(data) % _ALIGNMENT
        chunks += [data, bytes(padding)]
        size += len(data) + padding
    return {".onnx": model.SerializeToString(deterministic=True), ".onnx.data": b"".join(chunks)}


def move_in_(tensor: "onnx.TensorProto", data: bytes) -> None:
    """Put what a tensor has in `stem`.onnx.data, as `serialise` wrote it, into the tensor; others stay as they are."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    if about:
        offset = int(about["offset"])
        tensor.raw_data = data[offset : offset + int(about["length"])]
        del tensor.external_data[:]
        tensor.ClearField("data_location")


def _refer_(tensor: "onnx.TensorProto", location: str, offset: int, length: int) -> None:
    import onnx

    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
