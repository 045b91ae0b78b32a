"""One tensor in a packed file: its counts, codebooks, codes and gaps, or its plain values (FORMAT.md, 7 and 11)."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter
from compress.coding.entropy import entropy_bits
from compress.coding.floats import read_centroids, read_floats, write_centroids, write_floats
from compress.coding.model import ALPHABET
from compress.coding.streams import Choice, StreamModels
from compress.elements import ELEMENTS, Element, ordinals
from compress.errors import CorruptFileError
from compress.packed.account import StreamAccount, TensorAccount
from compress.packed.meaning import Layout, exact, read_codebook, read_layout, write_codebook, write_layout
from compress.packed.places import complement, gap_counts, gap_symbols, positions_of_gaps
from compress.representation import MAX_SIZE, Codebook, CodedTensor, DenseTensor, Grid, Tensor

__all__ = ["TensorReader", "TensorWriter", "fits_version_1"]

_CELLS_PER_TENSOR = 16  # FORMAT.md, section 8
_NO_CENTROIDS = np.zeros(0, dtype=np.float32)
_NO_CODES = np.zeros(0, dtype=np.uint8)
_NO_POSITIONS = np.zeros(0, dtype=np.int64)


def fits_version_1(tensor: Tensor) -> bool:
    """Whether version 1 can hold a tensor: float32, in its own order, one codebook, in which no zero is negative."""
    if tensor.element != "float32":
        return False
    if isinstance(tensor, DenseTensor):
        return True
    codebook = tensor.codebook
    if isinstance(codebook, Grid) or codebook.groups > 1 or tensor.restoring_axes is not None:
        return False
    return not (ordinals(codebook.centroids) == -1).any()


class TensorWriter:
    """Appends tensors; remembers the models that later ones may share, and counts cells (FORMAT.md, section 8).

    Parameters
    ----------
    out : BitWriter
    version : int
        Of the file: 1 or 2.
    """

    def __init__(self, out: BitWriter, version: int) -> None:
        self._out = out
        self._version = version
        self._codes, self._gaps, self._exponents = StreamModels(), StreamModels(tag_bits=3), StreamModels()
        self.cells = 0

    def write(self, tensor: Tensor) -> None:
        """Append one tensor, which fits the version."""
        self.cells += _CELLS_PER_TENSOR
        self._out.write(int(isinstance(tensor, CodedTensor)), 1)
        if isinstance(tensor, CodedTensor):
            self._write_coded(tensor)
            return
        self.cells += tensor.size
        flat = tensor.array.reshape(-1)
        if ELEMENTS[tensor.element].floating:
            write_floats(self._out, flat.astype(np.float32), self._exponents)
        elif flat.size:
            self._write_codes(flat.view(np.uint8) & np.uint8((1 << ELEMENTS[tensor.element].bits) - 1))

    def _write_coded(self, tensor: CodedTensor) -> None:
        codebook, size = tensor.codebook, tensor.size
        if self._version > 1:
            write_layout(self._out, tensor)
            self.cells += codebook.groups * (1 if isinstance(codebook, Grid) else codebook.size)
        self._out.write(codebook.bits - 1, 3)
        self._out.write_golomb((1 << codebook.bits) - codebook.size, 0)
        self._out.write_bounded(tensor.nnz, size)
        self.cells += _rows(tensor.shape) + tensor.nnz
        if self._version > 1:
            write_codebook(self._out, tensor, self._exponents)
        elif isinstance(codebook, Codebook) and codebook.size:
            write_centroids(self._out, codebook.centroids[0])
        if tensor.nnz:
            self._write_codes(tensor.codes)
        positions = tensor.positions
        if positions is None:
            return
        if 2 * tensor.nnz > size:
            positions = complement(positions, size)
        if positions.size:
            self._write_gaps(positions, size)

    def _write_codes(self, codes: NDArray[np.uint8]) -> None:
        choice = self._codes.choose({0: np.bincount(codes, minlength=ALPHABET)})
        self._codes.write(self._out, choice)
        choice.model.encode(self._out, codes)

    def _write_gaps(self, positions: NDArray[np.integer], size: int) -> None:
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
    version : int
        Of the file: 1 or 2.
    """

    def __init__(self, reader: BitReader, cells: int, version: int) -> None:
        self._reader = reader
        self._cells = cells
        self._version = version
        self._codes, self._gaps, self._exponents = StreamModels(), StreamModels(tag_bits=3), StreamModels()
        self._mark = 0

    def read(self, name: str, shape: tuple[int, ...], element: str) -> tuple[Tensor, TensorAccount]:
        """The next tensor.

        Parameters
        ----------
        name : str
        shape : tuple of int
            As the graph says.
        element : str
            As the graph says: key in ELEMENTS, float32 in a file of version 1.

        Raises
        ------
        CorruptFileError
            The bytes are none of this shape, or the file declares more than its size allows.
        """
        if min(shape, default=0) < 0 or prod(shape) > MAX_SIZE:
            raise CorruptFileError(f"{name}: found the shape {shape}, allowed 0 to {MAX_SIZE} elements")
        kind = ELEMENTS[element]
        if self._version == 1 and kind.name != "float32":
            raise CorruptFileError(f"{name}: found a parameter of {kind.name}, allowed float32 in version 1")
        self._mark = self._reader.position
        self._spend(_CELLS_PER_TENSOR, name)
        if self._reader.read(1, f"{name}, kind"):
            return self._read_coded(name, shape, kind)
        return self._read_dense(name, shape, kind)

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

    def _read_dense(self, name: str, shape: tuple[int, ...], kind: Element) -> tuple[DenseTensor, TensorAccount]:
        metadata_bits, size = self._lap(), prod(shape)
        self._spend(size, name)
        array: NDArray[Any]
        if kind.floating:
            array = exact(read_floats(self._reader, size, self._exponents, name), kind, name)
        else:
            array = self._read_integers(name, size, kind) if size else np.zeros(0, kind.dtype)
        return DenseTensor(name, array.reshape(shape), kind.name), TensorAccount(
            name=name,
            shape=shape,
            element=kind.name,
            kind="dense",
            size=size,
            nnz=size,
            metadata_bits=metadata_bits,
            dense_bits=self._lap(),
        )

    def _read_integers(self, name: str, size: int, kind: Element) -> NDArray[Any]:
        symbols, _ = self._codes.read(self._reader, name).model.decode(self._reader, size, name)
        if int(symbols.max()) >> kind.bits:
            raise CorruptFileError(f"{name}: found {symbols.max()}, allowed {kind.bits} bits")
        unused = 8 - kind.bits
        values: NDArray[Any] = (symbols << np.uint8(unused)).view(kind.dtype) >> kind.dtype.type(unused)
        return values

    def _read_coded(self, name: str, shape: tuple[int, ...], kind: Element) -> tuple[CodedTensor, TensorAccount]:
        reader, size = self._reader, prod(shape)
        layout = Layout(tuple(range(len(shape))), max(size, 1), 1, grid=False)
        if self._version > 1:
            layout = read_layout(reader, shape, kind, name)
        bits = reader.read(3, f"{name}, bits") + 1
        missing = reader.read_golomb(0, f"{name}, codebook")
        if missing > 1 << bits:
            raise CorruptFileError(f"{name}, codebook: found {missing} codes unused, allowed at most {1 << bits}")
        count = (1 << bits) - missing
        nnz = reader.read_bounded(size, f"{name}, nnz")
        self._spend(_rows(shape) + nnz, name)
        metadata_bits = self._lap()
        codebook: Codebook | Grid
        if self._version > 1:
            self._spend(layout.groups * (1 if layout.grid else count), f"{name}, codebook")
            codebook = read_codebook(reader, layout, bits, count, kind, self._exponents, f"{name}, codebook")
        else:
            codebook = Codebook(read_centroids(reader, count, f"{name}, codebook") if count else _NO_CENTROIDS, bits)
        codebook_bits = self._lap()
        codes, code_account = self._read_codes(f"{name}, codes", nnz, count) if nnz else (_NO_CODES, None)
        taken, positions, gap_bits, gap_account = min(nnz, size - nnz), _NO_POSITIONS, None, None
        if taken:
            positions, gap_bits, gap_account = self._read_gaps(f"{name}, gaps", taken, size)
        if 2 * nnz > size:
            positions = complement(positions, size)
        tensor = CodedTensor(
            name=name,
            shape=shape,
            positions=None if nnz == size else positions.astype(np.int32),
            codes=codes,
            codebook=codebook,
            element=kind.name,
            group_size=layout.group_size,
            axes=layout.axes,
        )
        return tensor, TensorAccount(
            name=name,
            shape=shape,
            element=kind.name,
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
            entropy_bits=entropy_bits(np.bincount(symbols)),
        )


def _rows(shape: tuple[int, ...]) -> int:
    """First axis of the matrix view, which counts among the cells."""
    return shape[0] if len(shape) > 1 else 1
