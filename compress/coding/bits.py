"""Strings of bits: a writer, a reader that distrusts, and the packing of whole arrays (FORMAT.md, section 2)."""

import numpy as np
from numpy.typing import NDArray

from compress.errors import CorruptFileError

__all__ = ["MAX_PACKED_WIDTH", "BitReader", "BitWriter", "pack", "packed_size", "unpack", "windows"]

MAX_PACKED_WIDTH = 25
"""Widest field of `pack` and `unpack`: with any offset within a byte it lies within four bytes."""

_CHUNK = 1 << 16
"""Fields packed or unpacked at once, so that temporaries take half a MiB each, whatever the size of the array."""

_MAX_ZEROS = 40
"""Of a Golomb code (FORMAT.md, section 2): numbers to 2**41 suffice for any size, and no file asks for a huge one."""


def packed_size(bit_count: int) -> int:
    """Bytes that hold `bit_count` bits."""
    return (bit_count + 7) // 8


class BitWriter:
    """Appends fields to a string of bits, the most significant bit first.

    >>> writer = BitWriter()
    >>> writer.write(0b101, 3)
    >>> writer.write_golomb(4, 1)
    >>> writer.bit_count, writer.to_bytes().hex()
    (7, 'ac')
    """

    __slots__ = ("_chunks", "_size", "_tail", "_tail_bits")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._tail = 0
        self._tail_bits = 0

    @property
    def bit_count(self) -> int:
        """Number of bits written so far."""
        return 8 * self._size + self._tail_bits

    def write(self, value: int, width: int) -> None:
        """Append `value` as `width` bits."""
        assert 0 <= value < 1 << width
        self._tail = self._tail << width | value
        self._tail_bits += width
        whole, self._tail_bits = divmod(self._tail_bits, 8)
        if whole:
            self._append((self._tail >> self._tail_bits).to_bytes(whole, "big"))
            self._tail &= (1 << self._tail_bits) - 1

    def write_bounded(self, value: int, maximum: int) -> None:
        """Append a value from 0 to `maximum` in the fewest bits that hold every such value."""
        assert 0 <= value <= maximum
        self.write(value, maximum.bit_length())

    def write_golomb(self, value: int, order: int) -> None:
        """Append a value >= 0 as an exponential Golomb code of that order."""
        shifted = value + (1 << order)
        self.write(shifted, 2 * shifted.bit_length() - 1 - order)

    def write_packed(self, packed: NDArray[np.uint8], bit_count: int) -> None:
        """Append the first `bit_count` bits of an array of bytes; those after them must be zero."""
        whole, rest = divmod(bit_count, 8)
        if self._tail_bits and whole:
            shift = 8 - self._tail_bits
            shifted = packed[:whole] >> np.uint8(self._tail_bits)
            shifted[1:] |= packed[: whole - 1] << np.uint8(shift)
            shifted[0] |= self._tail << shift
            self._append(shifted.tobytes())
            self._tail = int(packed[whole - 1]) & ((1 << self._tail_bits) - 1)
        elif whole:
            self._append(packed[:whole].tobytes())
        if rest:
            self.write(int(packed[whole]) >> (8 - rest), rest)

    def to_bytes(self) -> bytes:
        """Everything written, filled up with zero bits to a whole byte."""
        return b"".join(self._chunks) + (self._tail << (-self._tail_bits % 8)).to_bytes(packed_size(self._tail_bits))

    def _append(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)


class BitReader:
    """Reads fields from a string of bits and refuses to read past its end.

    Parameters
    ----------
    data : bytes
        The string, the most significant bit of every byte first.

    >>> reader = BitReader(bytes.fromhex("ac"))
    >>> reader.read(3, "first"), reader.read_golomb(1, "second"), reader.remaining
    (5, 4, 1)
    """

    __slots__ = ("_data", "bit_count", "data", "position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.data: NDArray[np.uint8] = np.frombuffer(data, dtype=np.uint8)
        self.bit_count = 8 * len(data)
        self.position = 0

    @property
    def remaining(self) -> int:
        """Number of bits not yet read."""
        return self.bit_count - self.position

    def require(self, bit_count: int, thing: str) -> None:
        """Refuse a field that is longer than what remains.

        Raises
        ------
        CorruptFileError
        """
        if bit_count > self.remaining:
            raise CorruptFileError(
                f"{thing}: found {bit_count} bits declared, allowed the {self.remaining} that remain"
            )

    def skip(self, bit_count: int, thing: str) -> None:
        """Go on by `bit_count` bits that were read elsewhere."""
        self.require(bit_count, thing)
        self.position += bit_count

    def read(self, width: int, thing: str) -> int:
        """The next `width` bits as a number."""
        self.require(width, thing)
        end = self.position + width
        value = int.from_bytes(self._data[self.position // 8 : packed_size(end)], "big")
        self.position = end
        return value >> (-end % 8) & ((1 << width) - 1)

    def read_bounded(self, maximum: int, thing: str) -> int:
        """A value from 0 to `maximum`, see `BitWriter.write_bounded`."""
        value = self.read(maximum.bit_length(), thing)
        if value > maximum:
            raise CorruptFileError(f"{thing}: found {value}, allowed 0 to {maximum}")
        return value

    def read_golomb(self, order: int, thing: str) -> int:
        """A value >= 0, see `BitWriter.write_golomb`."""
        peek = min(self.remaining, _MAX_ZEROS + 1)
        zeros = peek - self.read(peek, thing).bit_length()
        self.position -= peek
        if zeros == peek:
            raise CorruptFileError(
                f"{thing}: found {zeros} zero bits in a row, allowed a one after at most {_MAX_ZEROS}"
            )
        return self.read(2 * zeros + 1 + order, thing) - (1 << order)


def pack(values: NDArray[np.integer], widths: NDArray[np.integer] | int) -> tuple[NDArray[np.uint8], int]:
    """Concatenate the bits of many fields.

    Parameters
    ----------
    values : integer [n]
        values[i] < 2**widths[i].
    widths : integer [n] or int
        Bits of every field, 1 to MAX_PACKED_WIDTH.

    Returns
    -------
    packed : uint8 [ceil(bits / 8)]
        The fields one after another, the most significant bit first, zero bits at the end.
    bits : int

    >>> packed, bits = pack(np.array([1, 0, 5]), np.array([1, 2, 3]))
    >>> bits, packed.tolist()
    (6, [148])
    """
    widths = np.broadcast_to(np.asarray(widths), values.shape)
    bits = int(widths.sum(dtype=np.int64))
    words = np.zeros(bits // 64 + 2, dtype=np.uint64)
    position = 0
    for start in range(0, values.size, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        position = _pack_chunk_(words, position, values[chunk], widths[chunk])
    return words.astype(">u8").view(np.uint8)[: packed_size(bits)], bits


def _pack_chunk_(
    words: NDArray[np.uint64], position: int, values: NDArray[np.integer], widths: NDArray[np.integer]
) -> int:
    ends = np.cumsum(widths, dtype=np.int64)
    ends += position
    starts = ends - widths
    word = starts >> 6
    # Bits free to the right of the field in its word; negative where it runs over into the next word.
    free = 64 - (starts & 63) - widths
    wide = values.astype(np.uint64)
    left = np.maximum(free, 0).astype(np.uint64)
    right = np.maximum(-free, 0).astype(np.uint64)
    # A field is far narrower than a word, so every word of the chunk holds the start of some field.
    first = np.flatnonzero(np.diff(word, prepend=-1))
    words[word[first]] |= np.bitwise_or.reduceat((wide << left) >> right, first)
    over = np.flatnonzero(free < 0)
    words[word[over] + 1] |= wide[over] << (np.uint64(64) - right[over])
    return int(ends[-1])


def windows(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The four bytes that begin at every byte, as one big-endian number; beyond the end there are zeros.

    Parameters
    ----------
    data : uint8 [n]

    Returns
    -------
    uint32 [n + 1]
    """
    padded = np.zeros(data.size + 4, dtype=np.uint8)
    padded[: data.size] = data
    return np.ndarray((data.size + 1,), ">u4", padded, strides=(1,)).astype(np.uint32)


def unpack(reader: BitReader, count: int, width: int, thing: str) -> NDArray[np.uint32]:
    """Read `count` fields of `width` bits each (1 to MAX_PACKED_WIDTH): uint32 [count].

    Raises
    ------
    CorruptFileError
        Fewer bits remain than are declared.
    """
    reader.require(count * width, thing)
    values = np.empty(count, dtype=np.uint32)
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        stop = reader.position + size * width
        origin = reader.position // 8
        window = windows(reader.data[origin : packed_size(stop)])
        position = np.arange(reader.position - 8 * origin, stop - 8 * origin, width)
        field = window[position >> 3] << (position & 7).astype(np.uint32)
        values[start : start + size] = field >> np.uint32(32 - width)
        reader.position = stop
    return values
