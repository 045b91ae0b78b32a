"""Huffman-coded parts: their tables, the shortest way to follow their bitstream that fits the memory, the tensors."""

from collections.abc import Sequence

from compress.representation import CodedTensor
from export.onnx.decoder.assemble import Lookup, tensors_from_symbols
from export.onnx.decoder.builder import Builder
from export.onnx.decoder.bundle import LARGE, bundles_of
from export.onnx.decoder.doubling import decode_by_doubling, doubling_memory
from export.onnx.decoder.lanes import Lanes, lanes_memory, words_memory
from export.onnx.decoder.phases import Piece, axis_of, next_phase
from export.onnx.decoder.tables import streams_of
from export.onnx.decoder.tensors import finish_tensor

__all__ = ["huffman_memory", "write_huffman"]

_MAX_DOUBLING_BITS = 1 << 20
"""Doubling looks at every bit: a stream of a megabit takes a fifth of a second, lanes a fiftieth."""

_FRAGMENTED = 1.45
"""Peak memory over the sum of the intermediates that are as long as the symbols, as seen in onnxruntime."""

_BYTES_OF_ROWS = 20
"""For a code of several codebooks: its rank, the staircase that is added to it, the row."""


def huffman_memory(part: CodedTensor, *, functions: bool) -> int:
    """Bytes that decoding a part takes at load beyond the tensor itself, the words of the payload apart."""
    symbols = part.codes.size * (1 if part.positions is None else 2)
    value_bytes = part.dtype.itemsize
    memory = lanes_memory(symbols, functions=functions) + 8 * symbols
    if part.codebook.groups > 1 or part.size < LARGE:
        memory += _BYTES_OF_ROWS * part.codes.size
    if part.positions is None:
        return int(_FRAGMENTED * (memory + value_bytes * part.size))
    return int(_FRAGMENTED * (memory + (12 + value_bytes) * part.codes.size)) + 2 * value_bytes * part.size


def write_huffman(builder: Builder, phases: Sequence[Sequence[Piece]], *, functions: bool, spare_memory: int) -> None:
    """Append the payload and the decoder of the parts whose pieces `phases` are.

    Parameters
    ----------
    builder : Builder
    phases : sequence of sequence of Piece
    functions : bool
        Allow a model-local function where the stream is cut into lanes.
    spare_memory : int
        Bytes that doubling may take beyond what lanes take; doubling writes the smaller file.
    """
    pieces = [[(piece, _part(builder, piece)) for piece in phase] for phase in phases]
    bundles = [bundles_of([part for _, part in phase], huffman=True) for phase in pieces]
    streams = streams_of(bundles)
    symbols, bits = streams[0].ranks.size, streams[0].bits()
    lanes_take = lanes_memory(symbols, functions=functions) + words_memory(bits, functions=functions)[0]
    more = doubling_memory(symbols, bits) - lanes_take
    if len(phases) == 1 and bits <= _MAX_DOUBLING_BITS and more <= spare_memory:
        ranks = decode_by_doubling(builder, streams[0])
        tensors_from_symbols(builder, bundles[0], streams[0], ranks, Lookup(builder, streams[0]))
        return
    lanes = Lanes(builder, streams, functions=functions)
    joined: dict[str, list[str]] = {}
    for number, (phase, own, stream) in enumerate(zip(pieces, bundles, streams, strict=True)):
        builder.ready = next_phase(builder, builder.ready) if number else None
        tensors_from_symbols(builder, own, stream, lanes.decode(stream.ranks.size), lanes.lookup)
        for piece, part in phase:
            if not piece.is_whole:
                whole = piece.part
                joined.setdefault(whole.name, []).append(part.name)
                if piece.stop == whole.stored_shape[axis_of(whole)]:
                    finish_tensor(builder, whole, "Concat", joined.pop(whole.name), axis=axis_of(whole))
    builder.ready = None


def _part(builder: Builder, piece: Piece) -> CodedTensor:
    return piece.part if piece.is_whole else piece.cut(builder.name())
