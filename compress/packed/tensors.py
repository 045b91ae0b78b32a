"""One tensor in a packed file: its counts, centroids, codes and gaps, or its plain values (FORMAT.md, section 7)."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter
from compress.coding.floats import read_centroids, read_floats, write_centroids, write_floats
from compress.coding.model import ALPHABET
from compress.coding.streams import Choice, StreamModels
from compress.errors import CorruptFileError, UnsupportedError
from compress.packed.account import StreamAccount, TensorAccount, entropy_bits
from compress.packed.places import complement, csr_of_positions, gap_counts, gap_symbols, positions_of_gaps
from compress.representation import Codebook, CompressedTensor, DenseTensor, matrix_shape

__all__ = ["MAX_SIZE", "TensorReader", "TensorWriter"]

MAX_SIZE = 2**31 - 1
"""Most elements of a tensor."""

_CELLS_PER_TENSOR = 16
_NO_CENTROIDS = np.zeros(0, dtype=np.float32)
_NO_CODES = np.zeros(0, dtype=np.uint8)
_NO_POSITIONS = np.zeros(0, dtype=np.int64)


class TensorWriter:
    """Appends tensors; remembers the models that later ones may share, and counts cells (FORMAT.md, section 8)."""

    def __init__(self, out: BitWriter) -> None:
        self._out = out
        self._codes, self._gaps, self._exponents = StreamModels(), StreamModels(tag_bits=3), StreamModels()
        self.cells = 0

    def write(self, tensor: CompressedTensor | DenseTensor) -> None:
        """Append one tensor.

        Raises
        ------
        UnsupportedError
            It has more elements than the format allows.
        """
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
        csr, codebook, size = tensor.csr, tensor.codebook, tensor.size
        self._out.write(codebook.bits - 1, 3)
        self._out.write_golomb((1 << codebook.bits) - codebook.centroids.size, 0)
        self._out.write_bounded(csr.nnz, size)
        self.cells += csr.shape[0] + csr.nnz
        if codebook.centroids.size:
            write_centroids(self._out, codebook.centroids)
        if csr.nnz:
            self._write_codes(csr.codes)
        positions = csr.positions()
        if 2 * csr.nnz > size:
            positions = complement(positions, size)
        if positions.size:
            self._write_gaps(positions, size)

    def _write_codes(self, codes: NDArray[np.uint8]) -> None:
        choice = self._codes.choose({0: np.bincount(codes, minlength=ALPHABET)})
        self._codes.write(self._out, choice)
        choice.model.encode(self._out, codes)

    def _write_gaps(self, positions: NDArray[np.int64], size: int) -> None:
        choice = self._gaps.choose({bits - 1: counts for bits, counts in gap_counts(positions).items()})
        symbols = gap_symbols(positions, choice.tag + 1)
        self.cells += symbols.size
        self._gaps.write(self._out, choice)
        escape = (2 << choice.tag) - 1
        self._out.write_bounded(symbols.size - positions.size, (size - positions.size) // escape)
        choice.model.encode(self._out, symbols)


class TensorReader:
    """Reads what `TensorWriter` wrote, and tells where the bits went.

    Parameters
    ----------
    reader : BitReader
    cells : int
        How many values the file may declare in all (FORMAT.md, section 8).
    """

    def __init__(self, reader: BitReader, cells: int) -> None:
        self._reader = reader
        self._cells = cells
        self._codes, self._gaps, self._exponents = StreamModels(), StreamModels(tag_bits=3), StreamModels()
        self._mark = 0

    def read(self, name: str, shape: tuple[int, ...]) -> tuple[CompressedTensor | DenseTensor, TensorAccount]:
        """The next tensor.

        Parameters
        ----------
        name : str
        shape : tuple of int
            As the graph says.

        Raises
        ------
        CorruptFileError
            The bytes are none of this shape, or the file declares more than its size allows.
        """
        if min(shape, default=0) < 0 or prod(shape) > MAX_SIZE:
            raise CorruptFileError(f"{name}: found the shape {shape}, allowed 0 to {MAX_SIZE} elements")
        self._mark = self._reader.position
        self._spend(_CELLS_PER_TENSOR, name)
        if self._reader.read(1, f"{name}, kind"):
            return self._read_coded(name, shape)
        return self._read_dense(name, shape)

    def _lap(self) -> int:
        """Bits read since the last lap."""
        bits = self._reader.position - self._mark
        self._mark = self._reader.position
        return bits

    def _spend(self, cells: int, thing: str) -> None:
        """Take cells from those that are left, before anything of that size is allocated."""
        if cells > self._cells:
            raise CorruptFileError(
                f"{thing}: found {cells} values declared, allowed the {self._cells} left in a file of its size"
            )
        self._cells -= cells

    def _read_dense(self, name: str, shape: tuple[int, ...]) -> tuple[DenseTensor, TensorAccount]:
        metadata_bits, size = self._lap(), prod(shape)
        self._spend(size, name)
        array = read_floats(self._reader, size, self._exponents, name)
        return DenseTensor(name, array.reshape(shape)), TensorAccount(
            name=name,
            shape=shape,
            kind="dense",
            size=size,
            nnz=size,
            metadata_bits=metadata_bits,
            dense_bits=self._lap(),
        )

    def _read_coded(self, name: str, shape: tuple[int, ...]) -> tuple[CompressedTensor, TensorAccount]:
        reader, size, matrix = self._reader, prod(shape), matrix_shape(shape)
        bits = reader.read(3, f"{name}, bits") + 1
        missing = reader.read_golomb(0, f"{name}, codebook")
        if missing > 1 << bits:
            raise CorruptFileError(f"{name}, codebook: found {missing} codes unused, allowed at most {1 << bits}")
        centroid_count = (1 << bits) - missing
        nnz = reader.read_bounded(size, f"{name}, nnz")
        self._spend(matrix[0] + nnz, name)
        metadata_bits = self._lap()
        centroids = read_centroids(reader, centroid_count, f"{name}, codebook") if centroid_count else _NO_CENTROIDS
        codebook_bits = self._lap()
        codes, code_account = self._read_codes(f"{name}, codes", nnz, centroid_count) if nnz else (_NO_CODES, None)
        taken, positions, gap_bits, gap_account = min(nnz, size - nnz), _NO_POSITIONS, None, None
        if taken:
            positions, gap_bits, gap_account = self._read_gaps(f"{name}, gaps", taken, size)
        if 2 * nnz > size:
            positions = complement(positions, size)
        tensor = CompressedTensor(name, shape, csr_of_positions(matrix, positions, codes), Codebook(centroids, bits))
        return tensor, TensorAccount(
            name=name,
            shape=shape,
            kind="coded",
            size=size,
            nnz=nnz,
            bits=bits,
            gap_bits=gap_bits,
            metadata_bits=metadata_bits,
            codebook_bits=codebook_bits,
            codes=code_account,
            gaps=gap_account,
        )

    def _read_codes(self, thing: str, nnz: int, centroid_count: int) -> tuple[NDArray[np.uint8], StreamAccount]:
        choice = self._codes.read(self._reader, thing)
        codes, account = self._read_stream(thing, choice, nnz, self._lap())
        if int(codes.max()) >= centroid_count:
            raise CorruptFileError(f"{thing}: found code {codes.max()}, allowed below {centroid_count}")
        return codes, account

    def _read_gaps(self, thing: str, taken: int, size: int) -> tuple[NDArray[np.int64], int, StreamAccount]:
        choice = self._gaps.read(self._reader, thing)
        gap_bits = choice.tag + 1
        escape = (1 << gap_bits) - 1
        escapes = self._reader.read_bounded((size - taken) // escape, f"{thing}, escapes")
        self._spend(taken + escapes, thing)
        symbols, account = self._read_stream(thing, choice, taken + escapes, self._lap())
        if int(symbols.max()) > escape:
            raise CorruptFileError(f"{thing}: found gap {symbols.max()}, allowed 0 to {escape}")
        found = int(np.count_nonzero(symbols == escape))
        if found != escapes:
            raise CorruptFileError(f"{thing}: found {found} escapes, allowed {escapes} as declared")
        if int(symbols[-1]) == escape:
            raise CorruptFileError(f"{thing}: found an escape at the end, allowed a gap")
        positions = positions_of_gaps(symbols, gap_bits)
        if int(positions[-1]) >= size:
            raise CorruptFileError(f"{thing}: found position {positions[-1]}, allowed below {size}")
        return positions, gap_bits, account

    def _read_stream(
        self, thing: str, choice: Choice, count: int, table_bits: int
    ) -> tuple[NDArray[np.uint8], StreamAccount]:
        symbols, lane_bits = choice.model.decode(self._reader, count, thing)
        return symbols, StreamAccount(
            coder=choice.coder,
            count=count,
            table_bits=table_bits,
            lane_bits=lane_bits,
            payload_bits=self._lap() - lane_bits,
            entropy_bits=entropy_bits(symbols),
        )
