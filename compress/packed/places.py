"""Where the surviving weights are: positions as gaps, gaps as symbols (FORMAT.md, section 4)."""

import numpy as np
from numpy.typing import NDArray

from compress.coding.model import ALPHABET

__all__ = [
    "MAX_GAP_BITS",
    "complement",
    "gap_counts",
    "gap_symbols",
    "positions_of_gaps",
]

MAX_GAP_BITS = 8
"""Gaps are bytes."""

_SMALL_GAP = 1 << 16
"""Gaps below are counted in an array, half a megabyte at most; those above are few, and sorted."""


def complement(positions: NDArray[np.integer], size: int) -> NDArray[np.int64]:
    """All positions below `size` that are not among `positions`: int64, ascending.

    >>> complement(np.array([1, 2, 4]), 6).tolist()
    [0, 3, 5]
    """
    others = np.ones(size, dtype=bool)
    others[positions] = False
    return np.flatnonzero(others)


def gap_symbols(positions: NDArray[np.integer], gap_bits: int) -> NDArray[np.uint8]:
    """Positions as gaps of `gap_bits` bits.

    A symbol below 2**gap_bits - 1 skips so many places and then takes one; the symbol 2**gap_bits - 1, the escape,
    skips so many places and takes none.

    Parameters
    ----------
    positions : integer [n]
        Strictly ascending, >= 0.
    gap_bits : int
        1 to 8. At 1 the symbols are a bit mask: 0 for a place that is taken, 1 for one that is not.

    Returns
    -------
    uint8 [n + escapes]

    Notes
    -----
    Han, Mao and Dally, Deep Compression (2016), section 2, bridge a long gap with a filler: a zero weight that is
    stored like any other. Our escape has no weight, so it costs a gap symbol alone; and gaps run on from one row to
    the next, so that no row pointers are stored.

    >>> gap_symbols(np.array([0, 1, 5, 20]), 3).tolist()
    [0, 0, 3, 7, 7, 0]
    """
    escape = (1 << gap_bits) - 1
    escapes, rest = np.divmod(np.diff(positions, prepend=-1) - 1, escape)
    places = np.cumsum(escapes + 1) - 1
    symbols = np.full(int(places[-1]) + 1 if places.size else 0, escape, dtype=np.uint8)
    symbols[places] = rest
    return symbols


def gap_counts(positions: NDArray[np.integer]) -> dict[int, NDArray[np.int64]]:
    """How often every symbol of `gap_symbols` would occur, for every width: int64 [256] by gap bits, 1 to 8."""
    gaps = np.diff(positions, prepend=-1) - 1
    small = np.bincount(gaps[gaps < _SMALL_GAP])
    large, large_counts = np.unique(gaps[gaps >= _SMALL_GAP], return_counts=True)
    values = np.concatenate([np.flatnonzero(small), large])
    counts = np.concatenate([small[small > 0], large_counts])
    result = {}
    for gap_bits in range(1, MAX_GAP_BITS + 1):
        escape = (1 << gap_bits) - 1
        symbols = np.zeros(ALPHABET, dtype=np.int64)
        np.add.at(symbols, values % escape, counts)
        symbols[escape] = int((values // escape) @ counts)
        result[gap_bits] = symbols
    return result


def positions_of_gaps(symbols: NDArray[np.uint8], gap_bits: int) -> NDArray[np.int64]:
    """Undo `gap_symbols`: int64 [number of symbols that are no escape].

    >>> positions_of_gaps(np.array([0, 0, 3, 7, 7, 0], dtype=np.uint8), 3).tolist()
    [0, 1, 5, 20]
    """
    escape = (1 << gap_bits) - 1
    taken = symbols != escape
    places = np.cumsum(symbols.astype(np.int64) + taken)
    positions: NDArray[np.int64] = places[taken] - 1
    return positions
