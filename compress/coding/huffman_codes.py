"""Canonical, length-limited Huffman codes: lengths, codewords, and coding of whole arrays (FORMAT.md, section 5)."""

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter, pack, packed_size, unpack, windows
from compress.errors import CorruptFileError

__all__ = ["LANES_FROM", "LANE_SYMBOLS", "MAX_LENGTH", "code_lengths", "codewords", "read_symbols", "write_symbols"]

MAX_LENGTH = 15
"""Longest codeword, so that a symbol and its length fit an entry of 16 bits in the decoding table."""

LANES_FROM = 1 << 16
"""Streams of at least this many symbols are cut into lanes: with fewer lanes than 64, steps over all would be short."""

LANE_SYMBOLS = 1024
"""So that a lane takes less than 2**14 bits, and where it begins costs a symbol about a hundredth of a bit."""

_LANES_AT_ONCE = 1 << 12
"""Lanes decoded side by side: their looked-up entries take 8 MiB, and a step is long enough for NumPy's overhead."""

_BLOCK = 1 << 14
"""Bits decoded at once without lanes: each of the maps of a block takes 64 KiB and stays in the cache."""

_DOUBLINGS = 5
"""Each halves the steps that Python takes one by one, and costs a pass over the block: 32 symbols a step."""


def code_lengths(counts: NDArray[np.integer], limit: int = MAX_LENGTH) -> NDArray[np.uint8]:
    """Lengths of an optimal prefix code none of whose codewords is longer than `limit`.

    Parameters
    ----------
    counts : integer [alphabet]
        Occurrences of every symbol; symbols that do not occur get no codeword.
    limit : int
        Longest codeword allowed, 1 to 15.

    Returns
    -------
    uint8 [alphabet]
        0 for symbols without a codeword. A single symbol has a codeword of length 1, and then alone the code is not
        complete. Between equal counts the smaller symbol gets the longer codeword.

    Raises
    ------
    ValueError
        More symbols occur than `limit` bits can tell apart.

    Notes
    -----
    Package-merge: Larmore and Hirschberg, A fast algorithm for optimal length-limited Huffman codes (1990). Packages
    are not carried as sets: which of the cheapest items of a level are leaves is enough to count every leaf's levels.

    >>> code_lengths(np.array([5, 1, 1, 0, 2])).tolist()
    [1, 3, 3, 0, 2]
    >>> code_lengths(np.array([5, 1, 1, 0, 2]), limit=2).tolist()
    [2, 2, 2, 0, 2]
    """
    lengths = np.zeros(counts.shape, dtype=np.uint8)
    used = np.flatnonzero(counts)
    if not 1 <= limit <= MAX_LENGTH or used.size > 1 << limit:
        raise ValueError(f"limit: found {limit} for {used.size} symbols, allowed up to {MAX_LENGTH} and enough for all")
    if used.size < 2:
        lengths[used] = 1
        return lengths
    used = used[np.argsort(counts[used], kind="stable")]
    leaves = counts[used].astype(np.int64)
    is_package = np.zeros(leaves.size, dtype=bool)
    items, levels = leaves, [is_package]
    for _ in range(limit - 1):
        packages = items[: items.size // 2 * 2].reshape(-1, 2).sum(axis=1)
        merged = np.concatenate([leaves, packages])
        order = np.argsort(merged, kind="stable")
        items = merged[order]
        levels.append(order >= leaves.size)
    taken = 2 * leaves.size - 2
    for is_package in reversed(levels):
        packages_taken = int(is_package[:taken].sum())
        lengths[used[: taken - packages_taken]] += 1
        taken = 2 * packages_taken
    return lengths


def codewords(lengths: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The canonical codewords: numbered upwards by length, and by symbol within a length.

    Parameters
    ----------
    lengths : uint8 [alphabet]
        From `code_lengths`.

    Returns
    -------
    uint16 [alphabet]
        The codeword in the lowest lengths[s] bits; 0 for symbols without one.

    >>> codewords(np.array([1, 3, 3, 0, 2], dtype=np.uint8)).tolist()
    [0, 6, 7, 0, 2]
    """
    order = _canonical_order(lengths)
    width = lengths[order].astype(np.int64)
    reach = np.cumsum(1 << (MAX_LENGTH - width))
    words = np.zeros(lengths.size, dtype=np.uint16)
    words[order] = (reach - (1 << (MAX_LENGTH - width))) >> (MAX_LENGTH - width)
    return words


def _canonical_order(lengths: NDArray[np.uint8]) -> NDArray[np.intp]:
    order = np.argsort(lengths, kind="stable")
    return order[np.count_nonzero(lengths == 0) :]


def _decoding_table(lengths: NDArray[np.uint8]) -> tuple[NDArray[np.uint16], int]:
    """For every window of as many bits as the longest codeword: 16 times the symbol plus the codeword's length."""
    order = _canonical_order(lengths)
    width = lengths[order].astype(np.int64)
    longest = int(width[-1])
    return np.repeat((order << 4 | width).astype(np.uint16), 1 << (longest - width)), longest


def write_symbols(out: BitWriter, symbols: NDArray[np.uint8], lengths: NDArray[np.uint8]) -> None:
    """Append the codewords of `symbols` (FORMAT.md, section 5.3).

    Parameters
    ----------
    out : BitWriter
    symbols : uint8 [n]
        Every one has a codeword.
    lengths : uint8 [alphabet]
        A complete code.
    """
    if symbols.size >= LANES_FROM:
        _write_lanes(out, symbols, lengths)
    words = codewords(lengths)
    for start in range(0, symbols.size, LANES_FROM):
        chunk = symbols[start : start + LANES_FROM]
        out.write_packed(*pack(words[chunk], lengths[chunk]))


def _write_lanes(out: BitWriter, symbols: NDArray[np.uint8], lengths: NDArray[np.uint8]) -> None:
    whole = symbols.size // LANE_SYMBOLS
    sizes = lengths[symbols[: whole * LANE_SYMBOLS]].reshape(whole, LANE_SYMBOLS).sum(axis=1, dtype=np.int64)
    sizes = sizes[: _lane_count(symbols.size) - 1]
    smallest = int(sizes.min())
    width = int(sizes.max() - smallest).bit_length()
    out.write(smallest, 14)
    out.write(width, 4)
    if width:
        out.write_packed(*pack(sizes - smallest, width))


def _lane_count(symbol_count: int) -> int:
    return -(-symbol_count // LANE_SYMBOLS)


def read_symbols(
    reader: BitReader, count: int, lengths: NDArray[np.uint8], thing: str
) -> tuple[NDArray[np.uint8], int]:
    """Decode `count` symbols.

    Parameters
    ----------
    reader : BitReader
    count : int
        The caller has checked that so many symbols may be allocated.
    lengths : uint8 [alphabet]
        A complete code of at least two symbols.
    thing : str
        What is being read, for messages.

    Returns
    -------
    symbols : uint8 [count]
    lane_bits : int
        Bits spent on lanes.

    Raises
    ------
    CorruptFileError
        The codewords end beyond the data, or lanes do not meet.
    """
    # Every codeword has a bit at least, which bounds the work by the size of the file.
    reader.require(count, thing)
    if count < LANES_FROM:
        return _read_plain(reader, count, lengths, thing), 0
    start = reader.position
    sizes = _read_lane_sizes(reader, _lane_count(count), thing)
    lane_bits = reader.position - start
    return _read_lanes(reader, count, sizes, lengths, thing), lane_bits


def _read_plain(reader: BitReader, count: int, lengths: NDArray[np.uint8], thing: str) -> NDArray[np.uint8]:
    """Decode a stream without lanes, a block of bits at a time.

    Where a codeword would end is looked up for *every* bit of the block; composing that map with itself doubles the
    stride, so that only every 32nd symbol is found one after another and the others from it, all at once.
    """
    table, longest = _decoding_table(lengths)
    symbols = np.empty(count, dtype=np.uint8)
    done = 0
    offsets = np.arange(8, dtype=np.uint32)
    positions = np.arange(_BLOCK, dtype=np.int32)
    while done < count:
        origin = reader.position // 8
        window = windows(reader.data[origin : origin + _BLOCK // 8 + 4])[: _BLOCK // 8, np.newaxis]
        entries = table[((window << offsets) >> np.uint32(32 - longest)).ravel()]
        block = entries.size
        # The end of the block is a trap that leads to itself.
        jumps = [np.append(np.minimum(positions[:block] + (entries & 15), block), np.int32(block))]
        for _ in range(_DOUBLINGS):
            jumps.append(jumps[-1][jumps[-1]])
        chain: list[int] = []
        leap, position = jumps.pop().item, reader.position - 8 * origin
        while position < block and len(chain) << _DOUBLINGS < count - done:
            chain.append(position)
            position = leap(position)
        found = np.array(chain, dtype=np.int32)
        for jump in reversed(jumps):
            found = np.stack([found, jump[found]], axis=1).ravel()
        found = found[: min(count - done, int(np.searchsorted(found, block)))]
        taken = entries[found]
        symbols[done : done + found.size] = taken >> 4
        done += found.size
        reader.skip(8 * origin + int(found[-1]) + int(taken[-1] & 15) - reader.position, thing)
    return symbols


def _read_lane_sizes(reader: BitReader, lanes: int, thing: str) -> NDArray[np.int64]:
    smallest = reader.read(14, f"{thing}, lanes")
    width = reader.read(4, f"{thing}, lanes")
    if width > 14:
        raise CorruptFileError(f"{thing}, lanes: found a width of {width}, allowed 0 to 14")
    reader.require((lanes - 1) * width, f"{thing}, lanes")
    sizes = np.full(lanes - 1, smallest, dtype=np.int64)
    if width:
        sizes += unpack(reader, lanes - 1, width, f"{thing}, lanes")
    return sizes


def _read_lanes(
    reader: BitReader, count: int, sizes: NDArray[np.int64], lengths: NDArray[np.uint8], thing: str
) -> NDArray[np.uint8]:
    """Decode one symbol in every lane at each step."""
    table, longest = _decoding_table(lengths)
    starts = np.concatenate([[reader.position], reader.position + np.cumsum(sizes)])
    reader.skip(int(starts[-1]) - reader.position, f"{thing}, lanes")
    symbols = np.empty((starts.size, LANE_SYMBOLS), dtype=np.uint8)
    shift = np.uint32(32 - longest)
    for first in range(0, starts.size, _LANES_AT_ONCE):
        lanes = starts[first : first + _LANES_AT_ONCE]
        origin = int(lanes[0]) // 8
        window = windows(reader.data[origin : packed_size(int(lanes[-1])) + LANE_SYMBOLS * 2])
        position = lanes - 8 * origin
        entries = np.empty((LANE_SYMBOLS, lanes.size), dtype=np.uint16)
        for entry in entries:
            field = window.take(position >> 3, mode="clip")
            field <<= (position & 7).astype(np.uint32)
            field >>= shift
            table.take(field, out=entry, mode="clip")
            position += entry & 15
        symbols[first : first + lanes.size] = (entries >> 4).astype(np.uint8).T
        expected = starts[first + 1 : first + lanes.size + 1] - 8 * origin
        if (position[: expected.size] != expected).any():
            raise CorruptFileError(f"{thing}, lanes: found a lane that does not end where the next begins")
        last = entries[: count - LANE_SYMBOLS * (starts.size - 1), -1] & 15
    reader.skip(int(last.sum()), thing)
    return symbols.reshape(-1)[:count]
