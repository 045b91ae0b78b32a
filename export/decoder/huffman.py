"""Huffman-coded parts: the tables, the shortest way to follow their bitstream that fits the memory, the tensors."""

from collections.abc import Sequence

from export.decoder.assemble import tensors_from_symbols
from export.decoder.builder import Builder
from export.decoder.bundle import bundles_of
from export.decoder.doubling import decode_by_doubling, doubling_memory
from export.decoder.lanes import decode_by_lanes, lanes_memory
from export.decoder.part import Part
from export.decoder.tables import Streams, streams_of

__all__ = ["huffman_memory", "pair_length", "write_huffman"]

_MAX_DOUBLING_BITS = 1 << 20
"""Doubling looks at every bit: a stream of a megabit takes a fifth of a second, lanes a fiftieth."""

_PAIRS_FROM = 1 << 15
_PAIRS_TOGETHER = 1 << 18
_PAIRS_ROOM = 1 << 21


def pair_length(part: Part) -> int | None:
    """Longest codeword where the codes of a part are decoded by twos; None where they are not.

    Large parts without gaps take half the memory and half the time that way, for a window of two codewords.
    """
    whole = part.positions is None and len(part.codebooks) == 1 and part.size % 2 == 0
    if not whole or part.size < _PAIRS_FROM or part.codebooks.shape[1] > 128:
        return None
    return 7 if part.codebooks.shape[1] <= 64 else 8


def huffman_memory(part: Part, bits: int, *, functions: bool) -> int:
    """Bytes of the intermediates that a part leaves while a runtime folds its decoder."""
    words = 3 * bits // 2 if functions else 4 * bits
    if pair_length(part) is not None:
        return 34 * part.size + words
    if part.positions is None:
        return 52 * part.size + words
    return 96 * part.codes.size + words + 12 * part.size


def write_huffman(builder: Builder, parts: Sequence[Part], *, functions: bool, spare_memory: int) -> None:
    """Append the payload and the decoder of `parts`.

    Parameters
    ----------
    builder : Builder
    parts : sequence of Part
    functions : bool
        Allow a model-local function where the stream is cut into lanes.
    spare_memory : int
        Bytes that doubling may take beyond what lanes take; doubling writes the smaller file.
    """
    paired = [part for part in parts if pair_length(part) is not None]
    size = sum(part.size for part in paired)
    if size < _PAIRS_TOGETHER:
        paired = []
    if paired:
        _write_pairs(builder, paired, size, functions=functions)
    singles = [part for part in parts if all(part is not other for other in paired)]
    if not singles:
        return
    bundles = bundles_of(singles, huffman=True)
    streams = streams_of(bundles)
    symbols, bits = streams.ranks.size, streams.bits()
    more = doubling_memory(symbols, bits) - lanes_memory(symbols, bits, functions=functions)
    if bits <= _MAX_DOUBLING_BITS and more <= spare_memory:
        decoded = decode_by_doubling(builder, streams)
    else:
        decoded = decode_by_lanes(builder, streams, functions=functions, max_length=_longest(streams))
    tensors_from_symbols(builder, bundles, streams, decoded)


def _write_pairs(builder: Builder, parts: Sequence[Part], size: int, *, functions: bool) -> None:
    longest = max(pair_length(part) or 0 for part in parts)
    if size >= _PAIRS_ROOM:
        longest = 8
    bundles = bundles_of(parts, huffman=True)
    streams = streams_of(bundles, max_length=longest, max_tables=max(1, min(4, size // _PAIRS_ROOM)))
    decoded = decode_by_lanes(builder, streams, functions=functions, max_length=longest, together=2)
    tensors_from_symbols(builder, bundles, streams, decoded)


def _longest(streams: Streams) -> int:
    return int(streams.lengths().max())
