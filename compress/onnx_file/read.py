"""Read an ONNX file that may be anything: every way in which it can be unfit ends in one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import CompressError, CorruptFileError, UnsupportedError

if TYPE_CHECKING:
    import onnx

__all__ = ["all_graphs", "all_tensors", "nested_graphs", "read_onnx"]

_MIN_OPSET = 11


def read_onnx(path: Path) -> tuple["onnx.ModelProto", int]:
    """The model in a file, its external data loaded, and the bytes that they take on disk.

    Parameters
    ----------
    path : Path

    Returns
    -------
    model : ModelProto
        Accepted by `onnx.checker`, with every tensor inside.
    size : int
        Bytes of the file and of the whole files that hold its external data.

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
    size += _load_external(path, model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise CorruptFileError(f"{path}: found a model that onnx.checker rejects ({first})") from error
    return model, size


def all_graphs(model: "onnx.ModelProto") -> "Iterator[onnx.GraphProto | onnx.FunctionProto]":
    """The main graph, every function, and every subgraph of either."""
    yield from nested_graphs(model.graph)
    for function in model.functions:
        yield from nested_graphs(function)


def nested_graphs(
    graph: "onnx.GraphProto | onnx.FunctionProto",
) -> "Iterator[onnx.GraphProto | onnx.FunctionProto]":
    """A graph or function and every subgraph in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nested_graphs(attribute.g)
            for subgraph in attribute.graphs:
                yield from nested_graphs(subgraph)


def all_tensors(model: "onnx.ModelProto") -> "Iterator[onnx.TensorProto]":
    """Every tensor that is stored in the model: initialisers, and tensors in attributes."""
    import onnx

    for graph in all_graphs(model):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield sparse.values
                yield sparse.indices
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _require_opset(path: Path, model: "onnx.ModelProto") -> None:
    from onnx import defs

    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), None)
    newest = defs.onnx_opset_version()
    if opset is None or not _MIN_OPSET <= opset <= newest:
        found = "none" if opset is None else opset
        raise UnsupportedError(f"{path}: found opset {found}, allowed {_MIN_OPSET} to {newest}")


def _load_external(path: Path, model: "onnx.ModelProto") -> int:
    """Put external data into the model, each from a file below the model's own directory; the bytes of all files."""
    import onnx

    folder = path.resolve().parent
    sizes: dict[Path, int] = {}
    for tensor in all_tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        about = {entry.key: entry.value for entry in tensor.external_data}
        location = about.get("location", "")
        place = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not place.is_relative_to(folder):
            raise CorruptFileError(f"{path}: found external data at {location!r}, allowed below the model's directory")
        try:
            offset, length = int(about.get("offset", 0)), int(about.get("length", -1))
        except ValueError as error:
            raise CorruptFileError(f"{path}: found external data of {tensor.name} without a position") from error
        try:
            with place.open("rb") as file:
                size = sizes[place] = file.seek(0, 2)
                length = size - offset if length < 0 else length
                if offset < 0 or length < 0 or offset + length > size:
                    raise CorruptFileError(
                        f"{path}: found external data of {tensor.name} at {offset} + {length} bytes, "
                        f"allowed up to the {size} bytes of {location}"
                    )
                file.seek(offset)
                tensor.raw_data = file.read(length)
        except OSError as error:
            raise CompressError(f"{path}: external data {location} cannot be read ({error.strerror})") from error
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
    return sum(sizes.values())
