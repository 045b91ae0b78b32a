"""From decoded Huffman symbols to gaps and values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from export.decoder.builder import Builder
from export.decoder.bundle import Bundle
from export.decoder.tables import Streams
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
    """

    symbols: str
    rank_table: str | None = None
    table_slots: int = 0


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
    tables = {dtype: _value_table(builder, values, streams.gap_ranks) for dtype, values in streams.values.items()}
    ranks_of_tables = streams.lengths().size
    by_symbol: dict[str, str] = {}
    segment = sum(len(bundle.gaps) for bundle in bundles)
    for number, bundle in enumerate(bundles):
        own = len([None for groups in bundle.groups for _ in np.unique(groups)])
        runs = streams.segments[segment : segment + own]
        segment += own
        start = starts[len(bundles) + number]
        symbols = builder.slice(decoded.symbols, start, start + bundle.count)
        key = bundle.dtype.str
        covered = streams.gap_ranks + streams.values[key].size >= ranks_of_tables
        if decoded.rank_table is None or not covered or any(run.delta for run in runs):
            ranks = symbols if decoded.rank_table is None else builder.op("Gather", decoded.rank_table, symbols)
            values = builder.op("Gather", tables[key], shift_rows(builder, ranks, runs))
        else:
            if key not in by_symbol:
                by_symbol[key] = builder.op("Gather", tables[key], decoded.rank_table)
            values = builder.op("Gather", by_symbol[key], symbols)
        gaps = None
        if bundle.gaps:
            gaps = builder.op("Gather", gap_table, builder.slice(decoded.symbols, starts[number], starts[number + 1]))
        write_tensors(builder, bundle, gaps, values)


def _gap_table(builder: Builder, streams: Streams, decoded: Decoded) -> str:
    gaps = streams.gaps()
    narrow = gaps.astype(np.uint8 if gaps.max() < 256 else np.uint16)
    by_rank = builder.cast(builder.constant(narrow), np.int32)
    if decoded.rank_table is None:
        return by_rank
    slots = builder.slice(decoded.rank_table, 0, streams.gap_tables() * decoded.table_slots)
    return builder.op("Gather", by_rank, slots)


def _value_table(builder: Builder, values: NDArray[np.generic], gap_ranks: int) -> str:
    table = value_table(builder, values)
    return builder.op("Concat", builder.zeros((gap_ranks,), values.dtype), table, axis=0) if gap_ranks else table
