"""From decoded Huffman symbols to gaps and values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from export.onnx.decoder.builder import Builder
from export.onnx.decoder.bundle import Bundle
from export.onnx.decoder.tables import Segment, Streams
from export.onnx.decoder.tensors import shift_rows, value_table, write_tensors

__all__ = ["Lookup", "Symbols", "tensors_from_symbols"]


@dataclass(frozen=True, slots=True)
class Symbols:
    """Decoded symbols.

    Parameters
    ----------
    name : str
        int32 [size] or [size, 1].
    first : int
        Place of the first that is meant.
    size : int
    """

    name: str
    first: int
    size: int


class Lookup:
    """Gaps and values by decoded symbol: tables that all phases share, written when they are first needed.

    Parameters
    ----------
    builder : Builder
    streams : Streams
        One of those to decode: the tables are the same for all.
    rank_table : str or None
        int32, by symbol: its rank. None where the symbols are ranks.
    slots : int
        Entries of `rank_table`.
    table_slots : int
        Those for one Huffman table.
    column : bool
        Symbols are int32 [n, 1] instead of [n].
    """

    def __init__(
        self,
        builder: Builder,
        streams: Streams,
        rank_table: str | None = None,
        *,
        slots: int = 0,
        table_slots: int = 0,
        column: bool = False,
    ) -> None:
        self.column = column
        self._builder = builder
        self._streams = streams
        self._rank_table = rank_table
        self._slots = slots
        self._table_slots = table_slots
        self._ranks = streams.lengths().size
        self._first = self._ranks - streams.gap_ranks
        self._gap_table: str | None = None
        self._plain: dict[str, str] = {}
        self._padded: dict[str, str] = {}
        self._shifted: dict[tuple[str, int], str] = {}
        self._by_symbol: dict[tuple[str, int], str] = {}

    def gaps(self, symbols: str) -> str:
        """The gaps that `symbols` stand for."""
        if self._gap_table is None:
            gaps = self._streams.gaps()
            narrow = gaps.astype(np.uint8 if gaps.max() < 256 else np.uint16)
            self._gap_table = self._builder.cast(self._builder.constant(narrow), np.int32)
            if self._rank_table is not None:
                slots = self._streams.gap_tables() * self._table_slots
                own = self._builder.slice(self._rank_table, 0, slots)
                self._gap_table = self._builder.op("Gather", self._gap_table, own)
        return self._builder.op("Gather", self._gap_table, symbols)

    def values(self, bundle: Bundle, symbols: str, runs: Sequence[Segment]) -> str:
        """The values of the codes of a bundle, by rank or by symbol, whichever takes less memory at load."""
        table, by_rank = self._rank_table, symbols
        dtype = bundle.dtype.name
        deltas = {run.delta for run in runs}
        direct = len(deltas) == 1 and bundle.count >= self._slots
        if table is not None and not direct:
            by_rank = self._builder.op("Gather", table, symbols)
        if table is None or len(deltas) > 1:
            own = [replace(run, delta=run.delta - self._streams.gap_ranks) for run in runs]
            rows = shift_rows(self._builder, by_rank, own, column=self.column)
            return self._builder.op("Gather", self._plain_table(dtype), rows)
        [delta] = deltas
        key = (dtype, delta)
        if key not in self._shifted:
            start = delta + self._first
            self._shifted[key] = self._builder.slice(self._pad(dtype), start, start + self._ranks)
        if not direct:
            return self._builder.op("Gather", self._shifted[key], by_rank)
        if key not in self._by_symbol:
            self._by_symbol[key] = self._builder.op("Gather", self._shifted[key], table)
        return self._builder.op("Gather", self._by_symbol[key], symbols)

    def _plain_table(self, dtype: str) -> str:
        if dtype not in self._plain:
            self._plain[dtype] = value_table(self._builder, self._streams.values[dtype])
        return self._plain[dtype]

    def _pad(self, dtype: str) -> str:
        """With zeros on both sides of the rows every shift by a part's delta can be cut out."""
        if dtype not in self._padded:
            zeros = self._builder.zeros((self._ranks,), np.dtype(dtype))
            self._padded[dtype] = self._builder.op("Concat", zeros, self._plain_table(dtype), zeros, axis=0)
        return self._padded[dtype]


def tensors_from_symbols(
    builder: Builder, bundles: Sequence[Bundle], streams: Streams, symbols: Symbols, lookup: Lookup
) -> None:
    """Append the nodes that write every part of `bundles` under its name.

    Parameters
    ----------
    builder : Builder
    bundles : sequence of Bundle
    streams : Streams
        Made of these bundles.
    symbols : Symbols
        In the order in which they were coded.
    lookup : Lookup
    """
    counts = [bundle.count for bundle in bundles if bundle.gaps] + [bundle.count for bundle in bundles]
    sizes = [symbols.first, *counts, symbols.size - symbols.first - sum(counts)]
    split = builder.split(symbols.name, [size for size in sizes if size], [None] * np.count_nonzero(sizes))
    pieces = iter(split[1:] if symbols.first else split)
    gaps = {number: lookup.gaps(next(pieces)) for number, bundle in enumerate(bundles) if bundle.gaps}
    segment = sum(len(bundle.gaps) for bundle in bundles)
    for number, bundle in enumerate(bundles):
        own = sum(int(np.count_nonzero(counts)) for counts in bundle.group_counts)
        runs = streams.segments[segment : segment + own]
        segment += own
        values = lookup.values(bundle, next(pieces), runs)
        write_tensors(builder, bundle, gaps.get(number), values, column=lookup.column)
