"""Huffman-coded parts: the tables, the shorter way to follow their bitstream that fits the memory, the tensors."""

from collections.abc import Sequence

from export.decoder.assemble import tensors_from_symbols
from export.decoder.builder import Builder
from export.decoder.bundle import bundles_of
from export.decoder.doubling import decode_by_doubling, doubling_memory
from export.decoder.lanes import decode_by_lanes, lanes_memory
from export.decoder.part import Part
from export.decoder.tables import streams_of

__all__ = ["write_huffman"]

_MAX_DOUBLING_BITS = 1 << 20
"""Doubling looks at every bit: a stream of a megabit takes a fifth of a second, lanes a fiftieth."""


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
        decoded = decode_by_lanes(builder, streams, functions=functions)
    tensors_from_symbols(builder, bundles, streams, decoded)
