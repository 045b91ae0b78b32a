"""From decoded Huffman symbols to gaps and values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from export.decoder.builder import Builder
from export.decoder.bundle import Bundle
from export.decoder.tables import Segment, Streams
from export.decoder.tensors import shift_rows, value_table, write_tensors

__all__ = ["Decoded", "tensors_from_symbols"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Names of the decoded symbols.

    Parameters
    ----------
    symbols : str
        int32, at least as many as were coded; in their order.
    rank_table : str or None
        int32, by symbol: its rank. None where the symbols are ranks.
    table_slots : int
        Entries of `rank_table` for one Huffman table.
    slots : int
        All entries of `rank_table`.
    together : int
        Ranks that a symbol stands for: `rank_table` is [slots, 2] where it is 2.
    """

    symbols: str
    rank_table: str | None = None
    table_slots: int = 0
    slots: int = 0
    together: int = 1


def tensors_from_symbols(builder: Builder, bundles: Sequence[Bundle], streams: Streams, decoded: Decoded) -> None:
    """Append the nodes that write every part of `bundles` under its name.

    Parameters
    ----------
    builder : Builder
    bundles : sequence of Bundle
    streams : Streams
        Made of these bundles.
    decoded : Decoded
    """
    gap_counts = [bundle.count if bundle.gaps else 0 for bundle in bundles]
    starts = list(accumulate([*gap_counts, *(bundle.count for bundle in bundles)], initial=0))
    gap_table = _gap_table(builder, streams, decoded) if streams.gap_ranks else ""
    values = _Values(builder, streams, decoded)
    segment = sum(len(bundle.gaps) for bundle in bundles)
    for number, bundle in enumerate(bundles):
        own = sum(int(np.count_nonzero(counts)) for counts in bundle.group_counts)
        runs = streams.segments[segment : segment + own]
        segment += own
        start, stop = (edge // decoded.together for edge in starts[len(bundles) + number :][:2])
        symbols = builder.slice(decoded.symbols, start, stop)
        gaps = None
        if bundle.gaps:
            gaps = builder.op("Gather", gap_table, builder.slice(decoded.symbols, starts[number], starts[number + 1]))
        write_tensors(builder, bundle, gaps, values.of(bundle, symbols, runs))


class _Values:
    """The values of codes, by rank or by symbol, whichever takes less memory at load."""

    def __init__(self, builder: Builder, streams: Streams, decoded: Decoded) -> None:
        self._builder = builder
        self._decoded = decoded
        self._ranks = streams.lengths().size
        self._first = self._ranks - streams.gap_ranks
        self._gap_ranks = streams.gap_ranks
        self._plain = {dtype: value_table(builder, rows) for dtype, rows in streams.values.items()}
        self._padded: dict[str, str] = {}
        self._shifted: dict[tuple[str, int], str] = {}
        self._by_symbol: dict[tuple[str, int], str] = {}

    def of(self, bundle: Bundle, symbols: str, runs: Sequence[Segment]) -> str:
        table, by_rank = self._decoded.rank_table, symbols
        deltas = {run.delta for run in runs}
        direct = len(deltas) == 1 and bundle.count >= self._decoded.slots
        if table is not None and not direct:
            by_rank = self._builder.op("Gather", table, symbols)
        if table is None or len(deltas) > 1:
            rows = shift_rows(self._builder, by_rank, [replace(run, delta=run.delta - self._gap_ranks) for run in runs])
            return self._builder.op("Gather", self._plain[bundle.dtype.name], rows)
        [delta] = deltas
        key = (bundle.dtype.name, delta)
        if key not in self._shifted:
            start = delta + self._first
            self._shifted[key] = self._builder.slice(self._pad(key[0]), start, start + self._ranks)
        if not direct:
            return self._builder.op("Gather", self._shifted[key], by_rank)
        if key not in self._by_symbol:
            self._by_symbol[key] = self._builder.op("Gather", self._shifted[key], table)
        return self._builder.op("Gather", self._by_symbol[key], symbols)

    def _pad(self, dtype: str) -> str:
        """With zeros on both sides of the rows every shift by a part's delta can be cut out."""
        if dtype not in self._padded:
            zeros = self._builder.zeros((self._ranks,), np.dtype(dtype))
            self._padded[dtype] = self._builder.op("Concat", zeros, self._plain[dtype], zeros, axis=0)
        return self._padded[dtype]


def _gap_table(builder: Builder, streams: Streams, decoded: Decoded) -> str:
    gaps = streams.gaps()
    narrow = gaps.astype(np.uint8 if gaps.max() < 256 else np.uint16)
    by_rank = builder.cast(builder.constant(narrow), np.int32)
    if decoded.rank_table is None:
        return by_rank
    slots = builder.slice(decoded.rank_table, 0, streams.gap_tables() * decoded.table_slots)
    return builder.op("Gather", by_rank, slots)
