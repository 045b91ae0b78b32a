"""The packed file: a compressed model to bytes and back. FORMAT.md, beside this file, is the specification."""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from compress.coding.bits import BitReader, BitWriter
from compress.coding.blobs import read_blob, write_blob
from compress.errors import CompressError, CorruptFileError, UnsupportedError, UsageError
from compress.files import write_whole
from compress.graph import Graph, graph_of_zoo
from compress.packed.account import FileAccount
from compress.packed.tensors import TensorReader, TensorWriter, fits_version_1
from compress.representation import CompressedModel, DenseTensor, Tensor

__all__ = ["MAGIC", "VERSIONS", "account", "check_round_trip", "dumps", "load", "loads", "save"]

MAGIC = b"DCZ"
VERSIONS = (1, 2)
"""Those that are read; the first that can hold a model is written."""

_CHECKSUM_BYTES = 4  # FORMAT.md, section 1
_MAX_LENGTH_BYTES = 9  # section 1
_MAX_ZOO_BYTES = 255  # section 7.1
_CELLS_FREE = 1 << 20  # section 8
_CELLS_PER_BYTE = 16  # section 8
_SEPARATOR = b"\xff"


def save(model: CompressedModel, path: Path) -> None:
    """Write `dumps(model)` to a file, which appears whole or not at all.

    Raises
    ------
    CompressError
        The file cannot be written.
    UnsupportedError
        See `dumps`.
    """
    write_whole(path, dumps(model))


def load(path: Path) -> CompressedModel:
    """Read a packed file.

    Raises
    ------
    CompressError
        The file cannot be read.
    CorruptFileError
        See `loads`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CompressError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return loads(data)
    except CorruptFileError as error:
        raise CorruptFileError(f"{path}: {error}") from error


def loads(data: bytes) -> CompressedModel:
    """Decode a packed file.

    Raises
    ------
    CorruptFileError
        The bytes break FORMAT.md. No size that they declare is believed before it is checked.
    """
    return _parse(data)[0]


def account(data: bytes) -> FileAccount:
    """Where every bit of a packed file goes; it is decoded wholly for that.

    Raises
    ------
    CorruptFileError
        See `loads`.
    """
    return _parse(data)[1]


def dumps(model: CompressedModel) -> bytes:
    """Encode a model; equal models give equal bytes.

    Raises
    ------
    UnsupportedError
        The model is beyond the limits of the format (FORMAT.md, section 8).
    """
    version = 1 if all(fits_version_1(tensor) for tensor in model.tensors) else 2
    body = BitWriter()
    _write_graph(body, model.graph, version)
    write_blob(body, _provenance_bytes(model.provenance))
    writer = TensorWriter(body, version)
    for tensor in model.tensors:
        writer.write(tensor)
    padding = 0
    while True:
        padded = _framed(body, padding, version)
        missing = writer.cells - _CELLS_FREE - _CELLS_PER_BYTE * len(padded)
        if missing <= 0:
            return padded
        padding += -(-missing // _CELLS_PER_BYTE)


def check_round_trip(content: bytes, model: CompressedModel) -> CompressedModel:
    """The model that a packed file gives, which must be the one that was packed, bit for bit.

    Raises
    ------
    CompressError
        It is another one.
    """
    found = loads(content)
    for ours, theirs in zip(model.tensors, found.tensors, strict=True):
        if _arrays(ours) != _arrays(theirs):
            raise CompressError(f"{ours.name}: the packed file gives other arrays than were packed; this is a defect")
    if found.graph != model.graph or found.provenance != model.provenance:
        raise CompressError("the packed file gives another graph or provenance than was packed; this is a defect")
    return found


def _arrays(tensor: Tensor) -> tuple[object, ...]:
    told = tensor.name, tensor.shape, tensor.element
    if isinstance(tensor, DenseTensor):
        return *told, tensor.array.tobytes()
    arrays = (tensor.places(), tensor.codes, tensor.values())
    return *told, tensor.axes, tensor.group_size, tensor.bits, *(array.tobytes() for array in arrays)


def _framed(body: BitWriter, padding: int, version: int) -> bytes:
    tail = BitWriter()
    tail.write_packed(np.frombuffer(body.to_bytes(), dtype=np.uint8), body.bit_count)
    tail.write_golomb(padding, 0)
    content = tail.to_bytes() + bytes(padding)
    rest = len(MAGIC) + 1 + len(content) + _CHECKSUM_BYTES
    length = next(size for size in range(1, 10) if rest + size < 1 << 7 * size)
    groups = [(rest + length) >> 7 * place & 127 for place in range(length)]
    frame = MAGIC + bytes([version]) + bytes([*(group | 128 for group in groups[:-1]), groups[-1]]) + content
    return frame + zlib.crc32(frame).to_bytes(_CHECKSUM_BYTES, "big")


def _write_graph(out: BitWriter, graph: Graph, version: int) -> None:
    out.write(int(graph.zoo is not None), 1)
    if graph.zoo is None:
        write_blob(out, graph.skeleton)
        return
    if graph != graph_of_zoo(graph.zoo):
        raise UnsupportedError(f"graph: found one named {graph.zoo} that is not the network of that name")
    write_blob(out, graph.zoo.encode())
    if version > 1:
        out.write(zlib.crc32(graph.skeleton), 8 * _CHECKSUM_BYTES)


def _provenance_bytes(provenance: Mapping[str, str]) -> bytes:
    try:
        return b"".join(text.encode() + _SEPARATOR for pair in provenance.items() for text in pair)
    except UnicodeEncodeError as error:
        raise UnsupportedError("provenance: found a lone surrogate, allowed text") from error


def _parse(data: bytes) -> tuple[CompressedModel, FileAccount]:
    version, body = _open_frame(data)
    reader = BitReader(body)
    graph = _read_graph(reader, version)
    graph_bits = reader.position
    provenance = _read_provenance(reader)
    provenance_bits = reader.position - graph_bits
    tensor_reader = TensorReader(reader, _CELLS_FREE + _CELLS_PER_BYTE * len(data), version)
    read = [tensor_reader.read(name, shape, graph.elements[name]) for name, shape in graph.parameters.items()]
    padding_bits = reader.remaining
    _read_padding(reader)
    return CompressedModel(graph, tuple(tensor for tensor, _ in read), provenance), FileAccount(
        file_bytes=len(data),
        frame_bits=8 * (len(data) - len(body) - _CHECKSUM_BYTES),
        checksum_bits=8 * _CHECKSUM_BYTES,
        graph_bits=graph_bits,
        provenance_bits=provenance_bits,
        padding_bits=padding_bits,
        tensors=tuple(tensor_account for _, tensor_account in read),
    )


def _open_frame(data: bytes) -> tuple[int, bytes]:
    """Version and body of a file whose magic, version, length and checksum are right."""
    if data[: len(MAGIC)] != MAGIC:
        raise CorruptFileError(f"file: found {data[: len(MAGIC)].hex()} at its start, allowed {MAGIC.hex()}")
    start = len(MAGIC) + 1
    if not data[start - 1 : start] or data[start - 1] not in VERSIONS:
        allowed = " or ".join(f"{version:02x}" for version in VERSIONS)
        raise CorruptFileError(f"version: found {data[start - 1 : start].hex() or 'nothing'}, allowed {allowed}")
    groups = [*data[start : start + _MAX_LENGTH_BYTES]]
    size = next((index for index, group in enumerate(groups, 1) if group < 128), 0)
    if not size or groups[size - 1] == 0:
        found = bytes(groups[: size or None]).hex() or "nothing"
        raise CorruptFileError(
            f"length: found {found}, allowed 1 to {_MAX_LENGTH_BYTES} bytes, the last below 80, not 00"
        )
    declared = sum((group & 127) << 7 * place for place, group in enumerate(groups[:size]))
    if declared != len(data):
        raise CorruptFileError(f"length: found a file of {len(data)} bytes, allowed {declared} as it declares")
    if len(data) < start + size + _CHECKSUM_BYTES:
        raise CorruptFileError(
            f"length: found {len(data)} bytes, allowed no fewer than {start + size + _CHECKSUM_BYTES}"
        )
    checksum, computed = int.from_bytes(data[-_CHECKSUM_BYTES:], "big"), zlib.crc32(data[:-_CHECKSUM_BYTES])
    if checksum != computed:
        raise CorruptFileError(f"checksum: found {computed:08x}, allowed {checksum:08x} as the file declares")
    return data[start - 1], data[start + size : -_CHECKSUM_BYTES]


def _read_graph(reader: BitReader, version: int) -> Graph:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types

    named = reader.read(1, "graph, kind")
    blob = read_blob(reader, "graph")
    if named:
        if len(blob) > _MAX_ZOO_BYTES:
            raise CorruptFileError(f"graph: found a name of {len(blob)} bytes, allowed at most {_MAX_ZOO_BYTES}")
        name = blob.decode(errors="replace")
        try:
            graph = graph_of_zoo(name)
        except UsageError as error:
            raise CorruptFileError(f"graph: {error}") from error
        if graph.zoo != name:
            raise CorruptFileError(f"graph: found the network {name!r}, allowed its one spelling {graph.zoo!r}")
        if version > 1:
            _check_skeleton(reader.read(8 * _CHECKSUM_BYTES, "graph, checksum"), graph)
        return graph
    try:
        return Graph(None, blob)
    except DecodeError as error:
        raise CorruptFileError("graph: found bytes that are no ONNX model, allowed a serialised ModelProto") from error


def _check_skeleton(checksum: int, graph: Graph) -> None:
    """A file says which layers its name stood for: a network that was changed since is not taken for the old one."""
    computed = zlib.crc32(graph.skeleton)
    if checksum != computed:
        raise CorruptFileError(
            f"graph, checksum: found {computed:08x} of the layers of {graph.zoo}, allowed {checksum:08x} as declared"
        )


def _read_provenance(reader: BitReader) -> dict[str, str]:
    *texts, rest = read_blob(reader, "provenance").split(_SEPARATOR)
    try:
        decoded = [text.decode() for text in texts]
    except UnicodeDecodeError as error:
        raise CorruptFileError("provenance: found bytes that are no text, allowed UTF-8") from error
    keys, values = decoded[::2], decoded[1::2]
    if rest or len(keys) != len(values) or keys != sorted(set(keys)):
        raise CorruptFileError("provenance: found stray or unsorted entries, allowed pairs with ascending keys")
    return dict(zip(keys, values, strict=True))


def _read_padding(reader: BitReader) -> None:
    padding = reader.read_golomb(0, "padding")
    reader.require(8 * padding, "padding")
    if reader.remaining - 8 * padding >= 8:
        raise CorruptFileError(f"body: found {reader.remaining - 8 * padding} bits left over, allowed at most 7")
    while reader.remaining:
        if reader.read(min(reader.remaining, 1 << 16), "padding"):
            raise CorruptFileError("padding: found a bit that is set, allowed zeros only")
