"""The Huffman coder: its table of codeword lengths, found so that table and payload together are short."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter
from compress.coding.huffman_codes import MAX_LENGTH, code_lengths, read_symbols, write_symbols
from compress.coding.model import ALPHABET
from compress.errors import CorruptFileError

__all__ = ["HuffmanModel", "fit", "read", "read_lengths", "write_lengths"]

_FIRST_PREDICTION = 4
"""What the first length is compared with (FORMAT.md, section 5.2): the middle of the lengths that occur."""

_COMPLETE = 1 << MAX_LENGTH

_WORTH_REFINING_BITS = 1 << 17
"""Longest payload for which cheaper tables are sought: of 32 symbols, a table takes about a thousandth of this."""

_LIMITS_TRIED = 3
"""How far below the longest codeword limits are tried; of 40 streams drawn at random, none was shorter with five."""

_REACHES = (1, 2, 3)
"""Neighbours on either side that counts are smoothed over; of the same streams, none was shorter with five."""


@dataclass(frozen=True, slots=True)
class HuffmanModel:
    """A complete canonical prefix code: uint8 [256] lengths, 0 where a symbol has no codeword."""

    lengths: NDArray[np.uint8]

    def write(self, out: BitWriter) -> None:
        write_lengths(out, self.lengths)

    def payload_bits(self, counts: NDArray[np.int64]) -> int | None:
        if counts[self.lengths == 0].any():
            return None
        return int(counts @ self.lengths.astype(np.int64))

    def encode(self, out: BitWriter, symbols: NDArray[np.uint8]) -> None:
        write_symbols(out, symbols, self.lengths)

    def decode(self, reader: BitReader, count: int, thing: str) -> tuple[NDArray[np.uint8], int]:
        return read_symbols(reader, count, self.lengths, thing)


def fit(counts: NDArray[np.int64]) -> HuffmanModel | None:
    """The model for which table and payload together are shortest among the candidates tried.

    A code that is optimal for the payload alone may cost more in its table than it saves: lower limits and smoothed
    counts give tables that are cheaper to write.
    """
    if np.count_nonzero(counts) < 2:
        return None
    return min((HuffmanModel(lengths) for lengths in _candidates(counts)), key=lambda model: _total_bits(model, counts))


def _total_bits(model: HuffmanModel, counts: NDArray[np.int64]) -> int:
    out = BitWriter()
    model.write(out)
    payload = model.payload_bits(counts)
    assert payload is not None
    return out.bit_count + payload


def _candidates(counts: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    lengths = code_lengths(counts)
    yield lengths
    if counts @ lengths > _WORTH_REFINING_BITS:
        return
    used = np.flatnonzero(counts)
    span = slice(used[0], used[-1] + 1)
    shortest = int(used.size - 1).bit_length()
    for limit in range(max(shortest, int(lengths.max()) - _LIMITS_TRIED), int(lengths.max())):
        yield code_lengths(counts, limit)
    for reach in _REACHES:
        kernel = np.array([*range(1, reach + 2), *range(reach, 0, -1)])
        smooth = np.convolve(counts, kernel)[reach:-reach]
        for floor in (0, 1):
            blurred = np.zeros_like(counts)
            blurred[span] = np.maximum(smooth[span], floor)
            limit = int(code_lengths(blurred).max())
            lowest = max(int(np.count_nonzero(blurred) - 1).bit_length(), limit - _LIMITS_TRIED)
            for lower in range(limit, lowest - 1, -1):
                yield code_lengths(blurred, lower)


def write_lengths(out: BitWriter, lengths: NDArray[np.uint8]) -> None:
    """Append the lengths of a complete code (FORMAT.md, section 5.2)."""
    before, free, absent = _FIRST_PREDICTION, _COMPLETE, 0
    for length in lengths.tolist():
        if free == 0:
            return
        if length == 0:
            absent += 1
            continue
        if absent:
            out.write(0b1111, 4)
            out.write_golomb(absent - 1, 0)
            absent = 0
        step = length - before
        match step:
            case 0:
                out.write(0b0, 1)
            case 1:
                out.write(0b10, 2)
            case -1:
                out.write(0b110, 3)
            case _:
                out.write(0b1110, 4)
                out.write_golomb(2 * (abs(step) - 2) + (step < 0), 1)
        before = length
        free -= _COMPLETE >> length


def read_lengths(reader: BitReader, thing: str) -> NDArray[np.uint8]:
    """Read what `write_lengths` wrote: uint8 [256].

    Raises
    ------
    CorruptFileError
        The lengths are no complete code, or were not written in the one way there is.
    """
    lengths = np.zeros(ALPHABET, dtype=np.uint8)
    symbol, before, free, after_absent = 0, _FIRST_PREDICTION, _COMPLETE, False
    while free:
        kind = next((ones for ones in range(4) if not reader.read(1, thing)), 4)
        if kind == 4:
            if after_absent:
                raise CorruptFileError(
                    f"{thing}: found two runs of absent symbols, allowed one after another only once"
                )
            symbol += reader.read_golomb(0, thing) + 1
            after_absent = True
            continue
        if kind == 3:
            jump = reader.read_golomb(1, thing)
            before += (2 + jump // 2) * (-1 if jump % 2 else 1)
        else:
            before += (0, 1, -1)[kind]
        if symbol >= ALPHABET:
            raise CorruptFileError(f"{thing}: found a codeword for symbol {symbol}, allowed 0 to {ALPHABET - 1}")
        if not 1 <= before <= MAX_LENGTH:
            raise CorruptFileError(f"{thing}: found a codeword of {before} bits, allowed 1 to {MAX_LENGTH}")
        if _COMPLETE >> before > free:
            raise CorruptFileError(f"{thing}: found more codewords than fit, allowed a complete prefix code")
        lengths[symbol] = before
        free -= _COMPLETE >> before
        symbol, after_absent = symbol + 1, False
    return lengths


def read(reader: BitReader, thing: str) -> HuffmanModel:
    """Read a model (FORMAT.md, section 5.2)."""
    return HuffmanModel(read_lengths(reader, f"{thing}, table"))
