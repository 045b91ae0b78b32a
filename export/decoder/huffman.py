"""Huffman-coded parts: the tables, the shortest way to follow their bitstream that fits the memory, the tensors."""

from collections.abc import Sequence

from export.decoder.assemble import tensors_from_symbols
from export.decoder.builder import Builder
from export.decoder.bundle import bundles_of
from export.decoder.doubling import decode_by_doubling, doubling_memory
from export.decoder.lanes import decode_by_lanes, lanes_memory
from export.decoder.part import Part
from export.decoder.tables import streams_of

__all__ = ["PAIR_LENGTH", "huffman_memory", "may_be_paired", "worth_pairing", "write_huffman", "write_pairs"]

_MAX_DOUBLING_BITS = 1 << 20
"""Doubling looks at every bit: a stream of a megabit takes a fifth of a second, lanes a fiftieth."""

PAIR_LENGTH = 8
"""Longest codeword where codes are decoded by twos: a window of both has 2**16 values."""

_PAIRS_FROM = 1 << 15
_PAIRS_TOGETHER = 1 << 19
_PAIRS_TO_A_TABLE = 1 << 22


def may_be_paired(part: Part) -> bool:
    """Whether the codes of a part can be decoded by twos, which takes half the memory and more bits."""
    whole = part.positions is None and len(part.codebooks) == 1 and part.size % 2 == 0
    return whole and part.size >= _PAIRS_FROM and part.codebooks.shape[1] <= 128


def huffman_memory(part: Part, bits: int, *, pairs: bool, functions: bool) -> int:
    """Bytes of the intermediates that a part leaves while a runtime folds its decoder."""
    words = 3 * bits // 2 if functions else 4 * bits
    if pairs:
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
    bundles = bundles_of(parts, huffman=True)
    streams = streams_of(bundles)
    symbols, bits = streams.ranks.size, streams.bits()
    more = doubling_memory(symbols, bits) - lanes_memory(symbols, bits, functions=functions)
    if bits <= _MAX_DOUBLING_BITS and more <= spare_memory:
        decoded = decode_by_doubling(builder, streams)
    else:
        longest = int(streams.lengths().max())
        decoded = decode_by_lanes(builder, streams, functions=functions, max_length=longest)
    tensors_from_symbols(builder, bundles, streams, decoded)


def write_pairs(builder: Builder, parts: Sequence[Part], *, functions: bool) -> None:
    """As `write_huffman`, for parts that may be paired and are worth the table of pairs (`worth_pairing`)."""
    bundles = bundles_of(parts, huffman=True)
    tables = max(1, min(4, sum(part.size for part in parts) // _PAIRS_TO_A_TABLE))
    streams = streams_of(bundles, max_length=PAIR_LENGTH, max_tables=tables)
    decoded = decode_by_lanes(builder, streams, functions=functions, max_length=PAIR_LENGTH, together=2)
    tensors_from_symbols(builder, bundles, streams, decoded)


def worth_pairing(parts: Sequence[Part]) -> bool:
    """Whether there are codes enough for the five megabytes that the table of all pairs takes at load."""
    return sum(part.size for part in parts) >= _PAIRS_TOGETHER
