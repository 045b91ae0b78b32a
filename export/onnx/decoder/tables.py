"""Which symbols share a Huffman table, and every symbol as its rank in the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.coding.entropy import entropy_bits
from compress.coding.huffman_codes import code_lengths, codewords
from export.onnx.decoder.bundle import FILLER, Bundle

__all__ = ["MAX_LENGTH", "Segment", "Streams", "Table", "streams_of"]

MAX_LENGTH = 12
"""Longest codeword, in bits: a table has 2**12 windows at most. At 11 Caffe's LeNet-5 is 0.1 % larger, at 10 0.4 %."""

_MAX_TABLES = 12
"""Of gaps, and as many of codes. From four to eight LeNet-5 gains 199 bytes, and nothing from there on; Caffe's gains
nothing beyond four. Twelve keep the decoding table, 2**12 windows for each, to 0.4 MB for both."""

_BITS_OF_SWITCH = 48
"""Where another table comes into force: five or six bytes for the place and the rise of a step of a staircase."""

_BITS_OF_STAIRCASE = 1360
"""The staircase of rows that shared tables need: a hundred bytes for its nodes, the rest for its steps. If it counted
nothing, Caffe's LeNet-5 would come to 203 bytes more; from 700 to 2,700 bits it is the same."""


@dataclass(frozen=True, slots=True)
class Table:
    """Symbols in canonical order (by length, then by value) with the lengths of their codewords."""

    symbols: NDArray[np.uint16]
    lengths: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of symbols of one table.

    Parameters
    ----------
    count : int
    table : int
    delta : int
        For codes: rank + delta is the row of the value. Zero for gaps.
    """

    count: int
    table: int
    delta: int


@dataclass(frozen=True, slots=True)
class Streams:
    """Every symbol of a phase as its rank: the gaps of its bundles, then their codes. Phases share their tables.

    Parameters
    ----------
    tables : tuple of Table
        Gap tables first. Ranks count the symbols of all tables, one table behind the other.
    gap_ranks : int
        Ranks below this are gaps.
    ranks : uint16 [n]
    segments : tuple of Segment
        In the order of `ranks`.
    values : mapping of str to array
        Values of the codes by row, for every element type; the first `gap_ranks` rows are not there.
    """

    tables: tuple[Table, ...]
    gap_ranks: int
    ranks: NDArray[np.uint16]
    segments: tuple[Segment, ...]
    values: Mapping[str, NDArray[Any]]

    def lengths(self) -> NDArray[np.uint8]:
        """Codeword length of every rank."""
        return np.concatenate([table.lengths for table in self.tables])

    def bits(self) -> int:
        """Bits of all codewords together."""
        return int(self.lengths()[self.ranks].sum(dtype=np.int64))

    def codewords(self) -> NDArray[np.uint16]:
        """Codeword of every rank."""
        return np.concatenate([codewords(table.lengths) for table in self.tables])

    def gaps(self) -> NDArray[np.uint16]:
        """Gap of every rank below `gap_ranks`."""
        return np.concatenate([table.symbols for table in self.tables])[: self.gap_ranks]

    def gap_tables(self) -> int:
        """Number of tables of gaps."""
        sizes = np.cumsum([0] + [table.symbols.size for table in self.tables])
        return int(np.flatnonzero(sizes == self.gap_ranks)[0])


def streams_of(phases: Sequence[Sequence[Bundle]]) -> list[Streams]:
    """Choose tables and lengths for all symbols of all bundles and rank them: one stream for every phase."""
    bundles = [bundle for phase in phases for bundle in phase]
    gap_runs = [gaps for bundle in bundles for gaps in bundle.gaps]
    code_runs = [codes for bundle in bundles for codes in bundle.codes]
    gap_choice, _ = _choose([np.bincount(run) for run in gap_runs], 16)
    code_choice = _choose_for_codes([np.bincount(run) for run in code_runs])
    gap_tables = _tables(gap_runs, gap_choice)
    code_tables = _tables(code_runs, code_choice)
    tables = (*gap_tables, *code_tables)
    firsts = list(accumulate((table.symbols.size for table in tables), initial=0))
    gap_ranks = firsts[len(gap_tables)]
    rows: dict[str, _Rows] = {}
    gap_choices, code_choices = iter(gap_choice), (choice + len(gap_tables) for choice in code_choice)
    found = []
    for phase in phases:
        gaps: list[tuple[Segment, NDArray[np.uint16]]] = []
        codes: list[tuple[Segment, NDArray[np.uint16]]] = []
        for bundle in phase:
            for run, choice in zip(bundle.gaps, gap_choices, strict=False):
                ranks = _ranks(run, tables[choice].symbols, firsts[choice])
                gaps.append((Segment(run.size, choice, 0), ranks))
            own = rows.setdefault(bundle.dtype.name, _Rows(gap_ranks))
            for part, run, counts, choice in zip(
                bundle.parts, bundle.codes, bundle.group_counts, code_choices, strict=False
            ):
                ranks = _ranks(run, tables[choice].symbols, firsts[choice])
                codebooks = part.values()
                ends = np.cumsum(counts)
                for group in np.flatnonzero(counts):
                    row = own.row_of(codebooks[group], tables[choice].symbols)
                    segment = Segment(int(counts[group]), choice, row - firsts[choice])
                    codes.append((segment, ranks[ends[group] - counts[group] : ends[group]]))
        segments, ranked = zip(*gaps, *codes, strict=True)
        found.append((np.concatenate(ranked), segments))
    values = {dtype: own.array() for dtype, own in rows.items()}
    return [Streams(tables, gap_ranks, ranks, segments, values) for ranks, segments in found]


class _Rows:
    """The values of all codebooks behind each other, each in the order of its table, equal ones once."""

    def __init__(self, first: int) -> None:
        self._blocks: dict[bytes, int] = {}
        self._values: list[NDArray[Any]] = []
        self._next = first

    def row_of(self, codebook: NDArray[Any], symbols: NDArray[np.uint16]) -> int:
        padded = np.zeros(FILLER + 1, codebook.dtype)
        padded[: codebook.size] = codebook
        padded[FILLER] = 0
        block = padded[symbols]
        row = self._blocks.setdefault(block.tobytes(), self._next)
        if row == self._next:
            self._values.append(block)
            self._next += block.size
        return row

    def array(self) -> NDArray[Any]:
        return np.concatenate(self._values)


def _choose_for_codes(histograms: Sequence[NDArray[np.int64]]) -> list[int]:
    """Shared tables cost a staircase of rows: as long as tables of their own are not dearer, everyone gets one."""
    chosen, shared_bits = _choose(histograms, 8)
    if len(histograms) <= _MAX_TABLES:
        own_bits = sum(_bits_of_table(histogram, 8) for histogram in histograms)
        if own_bits < shared_bits + _BITS_OF_STAIRCASE:
            return list(range(len(histograms)))
    return chosen


def _choose(histograms: Sequence[NDArray[np.int64]], bits_of_symbol: int) -> tuple[list[int], float]:
    """Table of every histogram, and all bits: largest first, each joins where it costs least, or opens a table."""
    width = max((histogram.size for histogram in histograms), default=0)
    padded = [np.pad(histogram, (0, width - histogram.size)) for histogram in histograms]
    totals: list[NDArray[np.int64]] = []
    chosen = [0] * len(padded)

    def cost(counts: NDArray[np.int64]) -> float:
        return _bits_of_table(counts, bits_of_symbol)

    for index in sorted(range(len(padded)), key=lambda i: (-int(padded[i].sum()), i)):
        own = padded[index]
        joined = [cost(total + own) - cost(total) + _BITS_OF_SWITCH for total in totals]
        if not joined or (len(totals) < _MAX_TABLES and cost(own) < min(joined)):
            chosen[index] = len(totals)
            totals.append(own)
        else:
            chosen[index] = best = int(np.argmin(joined))
            totals[best] = totals[best] + own
    renumbered = {table: number for number, table in enumerate(dict.fromkeys(chosen))}
    return [renumbered[table] for table in chosen], sum(cost(total) for total in totals)


def _bits_of_table(counts: NDArray[np.int64], bits_of_symbol: int) -> float:
    return entropy_bits(counts) + bits_of_symbol * float(np.count_nonzero(counts))


def _tables(runs: Sequence[NDArray[np.unsignedinteger]], choice: Sequence[int]) -> list[Table]:
    tables = []
    for table in range(max(choice, default=-1) + 1):
        joined = np.concatenate([run for run, own in zip(runs, choice, strict=True) if own == table])
        counts = np.bincount(joined)
        symbols = np.flatnonzero(counts).astype(np.uint16)
        if symbols.size == 1:  # a codeword of no bits would leave a position where it is
            tables.append(Table(np.repeat(symbols, 2), np.ones(2, np.uint8)))
            continue
        lengths = np.asarray(code_lengths(counts[symbols], MAX_LENGTH), dtype=np.uint8)
        order = np.lexsort((symbols, lengths))
        tables.append(Table(symbols[order], lengths[order]))
    return tables


def _ranks(run: NDArray[np.unsignedinteger], symbols: NDArray[np.uint16], first: int) -> NDArray[np.uint16]:
    """Ranks from `first` on: twelve tables of 2,048 gaps and as many of 257 codes stay far below 2**16."""
    rank = np.zeros(int(symbols.max()) + 1, np.uint16)
    rank[symbols] = np.arange(first, first + symbols.size)
    ranks: NDArray[np.uint16] = rank[run]
    return ranks
