"""The packed file: a compressed model to bytes and back. FORMAT.md, beside this file, is the specification."""

import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.account import FileAccount, StreamAccount, TensorAccount, entropy_bits
from compress.coding.bits import BitReader, BitWriter
from compress.coding.blobs import read_blob, write_blob
from compress.coding.floats import read_centroids, read_floats, write_centroids, write_floats
from compress.coding.model import ALPHABET
from compress.coding.streams import StreamModels
from compress.errors import CompressError, CorruptFileError, UnsupportedError
from compress.files import write_whole
from compress.graph import Graph, graph_of_zoo
from compress.networks import NETWORKS
from compress.representation import Codebook, CompressedModel, CompressedTensor, DenseTensor, matrix_shape
from compress.sparse import complement, csr_of_positions, gap_counts, gap_symbols, positions_of_gaps

__all__ = ["MAGIC", "VERSION", "account", "dumps", "load", "loads", "save"]

MAGIC = b"DCZ"
VERSION = 1

MAX_SIZE = 2**31 - 1
"""Most elements of a tensor."""

_CHECKSUM_BYTES = 4
_CELLS_FREE = 1 << 20
_CELLS_PER_BYTE = 16
_CELLS_PER_TENSOR = 16
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
    return _Parser(data).parse()[0]


def account(data: bytes) -> FileAccount:
    """Where every bit of a packed file goes; it is decoded wholly for that.

    Raises
    ------
    CorruptFileError
        See `loads`.
    """
    return _Parser(data).parse()[1]


def dumps(model: CompressedModel) -> bytes:
    """Encode a model; equal models give equal bytes.

    Raises
    ------
    UnsupportedError
        The model is beyond the limits of the format (FORMAT.md, section 8).
    """
    body = BitWriter()
    _write_graph(body, model.graph)
    write_blob(body, _provenance_bytes(model.provenance))
    writer = _TensorWriter(body)
    for tensor in model.tensors:
        writer.write(tensor)
    padding = 0
    while True:
        padded = _framed(body, padding)
        missing = writer.cells - _CELLS_FREE - _CELLS_PER_BYTE * len(padded)
        if missing <= 0:
            return padded
        padding += -(-missing // _CELLS_PER_BYTE)


def _framed(body: BitWriter, padding: int) -> bytes:
    tail = BitWriter()
    tail.write_packed(np.frombuffer(body.to_bytes(), dtype=np.uint8), body.bit_count)
    tail.write_golomb(padding, 0)
    content = tail.to_bytes() + bytes(padding)
    rest = len(MAGIC) + 1 + len(content) + _CHECKSUM_BYTES
    length = next(size for size in range(1, 10) if rest + size < 1 << 7 * size)
    groups = [(rest + length) >> 7 * place & 127 for place in range(length)]
    frame = MAGIC + bytes([VERSION]) + bytes([*(group | 128 for group in groups[:-1]), groups[-1]]) + content
    return frame + zlib.crc32(frame).to_bytes(_CHECKSUM_BYTES, "big")


def _write_graph(out: BitWriter, graph: Graph) -> None:
    out.write(int(graph.zoo is not None), 1)
    if graph.zoo is None:
        write_blob(out, graph.skeleton)
        return
    if graph.zoo not in NETWORKS or graph != graph_of_zoo(graph.zoo):
        raise UnsupportedError(f"graph: found one named {graph.zoo} that is not the network of that name")
    write_blob(out, graph.zoo.encode())


def _provenance_bytes(provenance: Mapping[str, str]) -> bytes:
    try:
        return b"".join(text.encode() + _SEPARATOR for pair in provenance.items() for text in pair)
    except UnicodeEncodeError as error:
        raise UnsupportedError("provenance: found a lone surrogate, allowed text") from error


def _coded_positions(positions: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The survivors' positions, or those of the pruned weights where these are fewer (FORMAT.md, section 7.3)."""
    return complement(positions, size) if 2 * positions.size > size else positions


class _TensorWriter:
    """Appends tensors; remembers the models that later ones may share, and counts cells (FORMAT.md, section 8)."""

    def __init__(self, out: BitWriter) -> None:
        self._out = out
        self._codes, self._gaps, self._exponents = StreamModels(), StreamModels(tag_bits=3), StreamModels()
        self.cells = 0

    def write(self, tensor: CompressedTensor | DenseTensor) -> None:
        if tensor.size > MAX_SIZE:
            raise UnsupportedError(f"{tensor.name}: found {tensor.size} elements, allowed at most {MAX_SIZE}")
        self.cells += _CELLS_PER_TENSOR
        self._out.write(int(isinstance(tensor, CompressedTensor)), 1)
        if isinstance(tensor, CompressedTensor):
            self._write_coded(tensor)
        else:
            self.cells += tensor.size
            write_floats(self._out, tensor.array.reshape(-1), self._exponents)

    def _write_coded(self, tensor: CompressedTensor) -> None:
        out, csr, codebook = self._out, tensor.csr, tensor.codebook
        out.write(codebook.bits - 1, 3)
        out.write_golomb((1 << codebook.bits) - codebook.centroids.size, 0)
        out.write_bounded(csr.nnz, tensor.size)
        if codebook.centroids.size:
            write_centroids(out, codebook.centroids)
        if csr.nnz:
            choice = self._codes.choose({0: np.bincount(csr.codes, minlength=ALPHABET)})
            self._codes.write(out, choice)
            choice.model.encode(out, csr.codes)
        positions = _coded_positions(csr.positions(), tensor.size)
        self.cells += csr.shape[0] + csr.nnz + positions.size
        if positions.size:
            choice = self._gaps.choose({bits - 1: counts for bits, counts in gap_counts(positions).items()})
            symbols = gap_symbols(positions, choice.tag + 1)
            escapes = symbols.size - positions.size
            self.cells += escapes
            self._gaps.write(out, choice)
            out.write_bounded(escapes, (tensor.size - positions.size) // ((2 << choice.tag) - 1))
            choice.model.encode(out, symbols)


class _Parser:
    """Decodes a file once; hands out the model and the account of its bits."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._cells = _CELLS_FREE + _CELLS_PER_BYTE * len(data)
        self._codes, self._gaps, self._exponents = StreamModels(), StreamModels(tag_bits=3), StreamModels()
        self._mark = 0

    def parse(self) -> tuple[CompressedModel, FileAccount]:
        body = self._open_frame()
        self._reader = reader = BitReader(body)
        graph = self._read_graph()
        graph_bits = self._lap()
        provenance = self._read_provenance()
        provenance_bits = self._lap()
        tensors, accounts = [], []
        for name, shape in graph.parameters.items():
            if min(shape, default=0) < 0 or prod(shape) > MAX_SIZE:
                raise CorruptFileError(f"{name}: found the shape {shape}, allowed 0 to {MAX_SIZE} elements")
            self._spend(_CELLS_PER_TENSOR, name)
            read = self._read_coded if reader.read(1, f"{name}, kind") else self._read_dense
            tensor, tensor_account = read(name, shape)
            tensors.append(tensor)
            accounts.append(tensor_account)
        self._read_padding()
        whole = FileAccount(
            file_bytes=len(self._data),
            frame_bits=8 * (len(self._data) - len(body) - _CHECKSUM_BYTES),
            checksum_bits=8 * _CHECKSUM_BYTES,
            graph_bits=graph_bits,
            provenance_bits=provenance_bits,
            padding_bits=self._lap(),
            tensors=tuple(accounts),
        )
        return CompressedModel(graph, tuple(tensors), provenance), whole

    def _lap(self) -> int:
        """Bits read since the last lap."""
        bits = self._reader.position - self._mark
        self._mark = self._reader.position
        return bits

    def _spend(self, cells: int, thing: str) -> None:
        """Take cells from those that a file of this size may declare, before they are allocated."""
        if cells > self._cells:
            raise CorruptFileError(f"{thing}: found {cells} values declared, allowed {self._cells} in such a file")
        self._cells -= cells

    def _open_frame(self) -> bytes:
        data = self._data
        if data[: len(MAGIC)] != MAGIC:
            raise CorruptFileError(f"file: found {data[: len(MAGIC)]!r} at its start, allowed {MAGIC!r}")
        start = len(MAGIC) + 1
        if data[start - 1 : start] != bytes([VERSION]):
            raise CorruptFileError(
                f"version: found {data[start - 1 : start].hex() or 'nothing'}, allowed {VERSION:02x}"
            )
        length, shift = 0, 0
        while True:
            group = data[start : start + 1]
            if not group or shift > 56:
                raise CorruptFileError("length: found no end, allowed at most 9 bytes")
            length |= (group[0] & 127) << shift
            start, shift = start + 1, shift + 7
            if group[0] < 128:
                break
        if group[0] == 0:
            raise CorruptFileError("length: found a leading zero, allowed the shortest form")
        if length != len(data) or length < start + _CHECKSUM_BYTES:
            raise CorruptFileError(
                f"length: found a file of {len(data)} bytes that declares {length}, allowed the same"
            )
        checksum = int.from_bytes(data[-_CHECKSUM_BYTES:], "big")
        computed = zlib.crc32(data[:-_CHECKSUM_BYTES])
        if checksum != computed:
            raise CorruptFileError(f"checksum: found {computed:08x}, allowed {checksum:08x} as the file says")
        return data[start:-_CHECKSUM_BYTES]

    def _read_graph(self) -> Graph:
        from google.protobuf.message import DecodeError

        named = self._reader.read(1, "graph, kind")
        blob = read_blob(self._reader, "graph")
        if named:
            name = blob.decode(errors="replace")
            if name not in NETWORKS:
                raise CorruptFileError(f"graph: found the network {name!r}, allowed {', '.join(NETWORKS)}")
            return graph_of_zoo(name)
        try:
            return Graph(None, blob)
        except DecodeError as error:
            raise CorruptFileError(
                "graph: found bytes that are no ONNX model, allowed a serialised ModelProto"
            ) from error

    def _read_provenance(self) -> dict[str, str]:
        blob = read_blob(self._reader, "provenance")
        *texts, rest = blob.split(_SEPARATOR)
        try:
            decoded = [text.decode() for text in texts]
        except UnicodeDecodeError as error:
            raise CorruptFileError("provenance: found bytes that are no text, allowed UTF-8") from error
        keys = decoded[::2]
        if rest or len(decoded) % 2 or keys != sorted(set(keys)):
            raise CorruptFileError("provenance: found stray or unsorted entries, allowed pairs with ascending keys")
        return dict(zip(keys, decoded[1::2], strict=True))

    def _read_padding(self) -> None:
        padding = self._reader.read_golomb(0, "padding")
        self._reader.require(8 * padding, "padding")
        left = self._reader.remaining - 8 * padding
        if left >= 8:
            raise CorruptFileError(f"body: found {left} bits left over, allowed fewer than 8")
        while self._reader.remaining:
            if self._reader.read(min(self._reader.remaining, 1 << 16), "padding"):
                raise CorruptFileError("padding: found a bit that is set, allowed zeros")

    def _read_dense(self, name: str, shape: tuple[int, ...]) -> tuple[DenseTensor, TensorAccount]:
        metadata_bits = self._lap()
        size = prod(shape)
        self._spend(size, name)
        array = read_floats(self._reader, size, self._exponents, name)
        return DenseTensor(name, array.reshape(shape)), TensorAccount(
            name=name, shape=shape, kind="dense", size=size, nnz=size, bits=None, gap_bits=None,
            metadata_bits=metadata_bits, codebook_bits=0, dense_bits=self._lap(), codes=None, gaps=None,
        )  # fmt: skip

    def _read_coded(self, name: str, shape: tuple[int, ...]) -> tuple[CompressedTensor, TensorAccount]:
        reader, size = self._reader, prod(shape)
        bits = reader.read(3, f"{name}, bits") + 1
        unused = reader.read_golomb(0, f"{name}, codebook")
        if unused > 1 << bits:
            raise CorruptFileError(f"{name}, codebook: found {unused} centroids fewer than {1 << bits}")
        centroid_count = (1 << bits) - unused
        nnz = reader.read_bounded(size, f"{name}, nnz")
        taken = min(nnz, size - nnz)
        self._spend(matrix_shape(shape)[0] + nnz + taken, name)
        metadata_bits = self._lap()
        centroids = np.zeros(0, dtype=np.float32)
        if centroid_count:
            centroids = read_centroids(reader, centroid_count, f"{name}, codebook")
        codebook_bits = self._lap()
        codes, code_account = np.zeros(0, dtype=np.uint8), None
        if nnz:
            choice = self._codes.read(reader, f"{name}, codes")
            table_bits = self._lap()
            codes, lane_bits = choice.model.decode(reader, nnz, f"{name}, codes")
            code_account = StreamAccount(
                coder=choice.coder, count=nnz, table_bits=table_bits, lane_bits=lane_bits,
                payload_bits=self._lap() - lane_bits, entropy_bits=entropy_bits(codes),
            )  # fmt: skip
            if int(codes.max()) >= centroid_count:
                raise CorruptFileError(f"{name}, codes: found {codes.max()}, allowed below {centroid_count}")
        positions, gap_bits, gap_account = np.zeros(0, dtype=np.int64), None, None
        if taken:
            choice = self._gaps.read(reader, f"{name}, gaps")
            table_bits = self._lap()
            gap_bits = choice.tag + 1
            escape = (1 << gap_bits) - 1
            escapes = reader.read_bounded((size - taken) // escape, f"{name}, escapes")
            self._spend(escapes, f"{name}, escapes")
            metadata_bits += self._lap()
            symbols, lane_bits = choice.model.decode(reader, taken + escapes, f"{name}, gaps")
            gap_account = StreamAccount(
                coder=choice.coder, count=symbols.size, table_bits=table_bits, lane_bits=lane_bits,
                payload_bits=self._lap() - lane_bits, entropy_bits=entropy_bits(symbols),
            )  # fmt: skip
            found = int(np.count_nonzero(symbols == escape))
            if found != escapes or int(symbols.max()) > escape or int(symbols[-1]) == escape:
                raise CorruptFileError(f"{name}, gaps: found {found} escapes or a misplaced one, allowed {escapes}")
            positions = positions_of_gaps(symbols, gap_bits)
            if int(positions[-1]) >= size:
                raise CorruptFileError(f"{name}, gaps: found a position {positions[-1]}, allowed below {size}")
        if 2 * nnz > size:
            positions = complement(positions, size)
        csr = csr_of_positions(matrix_shape(shape), positions, codes)
        return CompressedTensor(name, shape, csr, Codebook(centroids, bits)), TensorAccount(
            name=name, shape=shape, kind="coded", size=size, nnz=nnz, bits=bits, gap_bits=gap_bits,
            metadata_bits=metadata_bits, codebook_bits=codebook_bits, dense_bits=0, codes=code_account, gaps=gap_account,
        )  # fmt: skip
