"""Read an ONNX file that may be anything: every way in which it can be unfit ends in one line."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compress.elements import element_of_onnx
from compress.errors import CompressError, CorruptFileError, UnsupportedError, first_line
from compress.graph import all_tensors

if TYPE_CHECKING:
    import onnx

__all__ = ["OnnxFile", "read_onnx"]

_MIN_OPSET = 11
"""The first operator set with all operators of the decoder (CumSum, ScatterElements)."""

_LEAST_MAPPED = 1 << 10
"""Bytes of external data from which on they stay in their file, to be read as they are used: smaller ones move in."""


@dataclass(frozen=True, slots=True, eq=False)
class OnnxFile:
    """A model of somebody else's, whose large external data are still in their files.

    Parameters
    ----------
    model : ModelProto
    path : Path or None
        Where it was read; None for a model that was never in a file, which has no external data.
    size : int
        Bytes of the file and of the whole files that hold its external data.
    """

    model: "onnx.ModelProto"
    path: Path | None = None
    size: int = 0

    @property
    def name(self) -> str:
        """What an error calls it."""
        return "model" if self.path is None else str(self.path)

    def copy(self) -> "OnnxFile":
        """The same with a model of its own, to be changed; protobuf frees what was taken out only with the whole."""
        import onnx

        copy = onnx.ModelProto()
        copy.CopyFrom(self.model)
        return OnnxFile(copy, self.path, self.size)

    def array(self, tensor: "onnx.TensorProto") -> NDArray[Any]:
        """The elements of a tensor of this model, four-bit integers as bytes; mapped from its file where it has one."""
        import onnx
        from onnx import numpy_helper

        kind = element_of_onnx(tensor.data_type)
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            array = numpy_helper.to_array(tensor)
            return array if kind is None or kind.bits >= 8 else array.astype(kind.dtype)
        assert kind is not None
        assert self.path is not None
        place, offset, _ = _external(self.path, tensor)
        shape = tuple(tensor.dims)
        if kind.bits >= 8:
            mapped: NDArray[Any] = np.memmap(place, kind.dtype.newbyteorder("<"), "r", offset, shape)
            return mapped.astype(kind.dtype, copy=False)
        packed = np.memmap(place, np.uint8, "r", offset, ((prod(shape) + 1) // 2,))
        nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[: prod(shape)]
        unused = np.uint8(8 - kind.bits)
        values: NDArray[Any] = (nibbles << unused).view(kind.dtype) >> kind.dtype.type(unused)
        return values.reshape(shape)

    def move_in_(self) -> None:
        """Put what is still in other files into the model."""
        import onnx

        for tensor in all_tensors(self.model):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                assert self.path is not None
                place, offset, length = _external(self.path, tensor)
                with place.open("rb") as file:
                    file.seek(offset)
                    tensor.raw_data = file.read(length)
                del tensor.external_data[:]
                tensor.data_location = onnx.TensorProto.DEFAULT


def read_onnx(path: Path) -> OnnxFile:
    """The model in a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    OnnxFile
        Accepted by `onnx.checker`; its external data are there, and of the declared sizes.

    Raises
    ------
    CompressError
        The file, or a file of its external data, cannot be read.
    CorruptFileError
        It is not an ONNX model, or a broken one, or its external data leave its directory.
    UnsupportedError
        Its operator set is older than the decoder's operators, or unknown to the installed onnx.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types

    try:
        content = path.read_bytes()
    except OSError as error:
        raise CompressError(f"{path}: cannot be read ({error.strerror})") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RuntimeError) as error:
        raise CorruptFileError(f"{path}: found no ONNX model, or a truncated one") from error
    size = len(content)
    del content
    if not model.ir_version or not model.HasField("graph"):
        raise CorruptFileError(f"{path}: found no ONNX model, or a truncated one")
    _require_opset(path, model)
    size += _check_external(path, model)
    try:
        onnx.checker.check_model(str(path))  # by its path: in memory, it would be copied twice
    except (onnx.checker.ValidationError, ValueError) as error:
        raise CorruptFileError(f"{path}: found a model that onnx.checker rejects ({first_line(error)})") from error
    return OnnxFile(model, path, size)


def _require_opset(path: Path, model: "onnx.ModelProto") -> None:
    from onnx import defs

    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), None)
    newest = defs.onnx_opset_version()
    if opset is None or not _MIN_OPSET <= opset <= newest:
        found = "none" if opset is None else opset
        raise UnsupportedError(f"{path}: found opset {found}, allowed {_MIN_OPSET} to {newest}")


def _check_external(path: Path, model: "onnx.ModelProto") -> int:
    """Check that external data are below the model's own directory, move small ones in; the bytes of all files."""
    import onnx

    sizes: dict[Path, int] = {}
    for tensor in all_tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        place, offset, length = _external(path, tensor)
        kind = element_of_onnx(tensor.data_type)
        try:
            with place.open("rb") as file:
                size = sizes[place] = file.seek(0, 2)
                if offset < 0 or length < 0 or offset + length > size:
                    raise CorruptFileError(
                        f"{path}: found external data of {tensor.name} at {offset} + {length} bytes, "
                        f"allowed up to the {size} bytes of {place.name}"
                    )
                if kind is not None and length != kind.stored_bytes(prod(tensor.dims)):
                    raise CorruptFileError(
                        f"{path}: found {length} bytes of external data for {tensor.name}, "
                        f"allowed {kind.stored_bytes(prod(tensor.dims))} for its shape"
                    )
                if kind is None or length < _LEAST_MAPPED:
                    file.seek(offset)
                    tensor.raw_data = file.read(length)
                    del tensor.external_data[:]
                    tensor.data_location = onnx.TensorProto.DEFAULT
        except OSError as error:
            raise CompressError(f"{path}: external data {place.name} cannot be read ({error.strerror})") from error
    return sum(sizes.values())


def _external(path: Path, tensor: "onnx.TensorProto") -> tuple[Path, int, int]:
    """File, offset and length of a tensor's external data."""
    folder = path.resolve().parent
    about = {entry.key: entry.value for entry in tensor.external_data}
    location = about.get("location", "")
    place = (folder / location).resolve()
    if not location or Path(location).is_absolute() or not place.is_relative_to(folder):
        raise CorruptFileError(f"{path}: found external data at {location!r}, allowed below the model's directory")
    try:
        offset = int(about.get("offset", 0))
        length = int(about["length"]) if "length" in about else place.stat().st_size - offset
    except ValueError as error:
        raise CorruptFileError(f"{path}: found external data of {tensor.name} without a position") from error
    except OSError as error:
        raise CompressError(f"{path}: external data {location} cannot be read ({error.strerror})") from error
    return place, offset, length
