"""Fixed-width codes and gaps: five nodes unpack any width, no table, no bitstream to follow.

Eight symbols of w bits fill w bytes. The bytes are stored by their place in such a
group (all first bytes, then all second bytes, …), so that one product with a constant
8 × w matrix puts the bytes that a symbol touches behind each other, and a division and
a modulo cut the symbol out.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import pack
from compress.representation import CodedTensor
from export.onnx.decoder.builder import Builder
from export.onnx.decoder.bundle import FILLER, Bundle, bundles_of, code_bits
from export.onnx.decoder.tables import Segment
from export.onnx.decoder.tensors import shift_rows, value_table, write_tensors

__all__ = ["fixed_memory", "write_fixed"]

_PAIRS_FROM = 1 << 15
"""Elements from which on codes are looked up in pairs, which takes 14 bytes of intermediates for each instead of 44:
below that it saves less than a megabyte, and costs the nodes and constants of a table of pairs."""


def fixed_memory(elements: int, codes: int, bits: int, *, gaps: bool) -> int:
    """Bytes of the intermediates that a tensor of fixed-width codes leaves while a runtime folds it."""
    if gaps:
        return int(codes * (bits / 2 + 36)) + 12 * elements
    return int(elements * (bits / 2 + (14 if elements >= _PAIRS_FROM else 44)))


def write_fixed(builder: Builder, parts: Sequence[CodedTensor]) -> None:
    """Append the payload and the decoder of `parts`.

    Parameters
    ----------
    builder : Builder
    parts : sequence of CodedTensor
    """
    by_width: dict[tuple[int, int, int], list[Bundle]] = {}
    for bundle in bundles_of(parts, huffman=False):
        filler = any(bool((codes == FILLER).any()) for codes in bundle.codes)
        bits = max(code_bits(part.codebook.size, filler=filler) for part in bundle.parts)
        gap_bits = max((int(gaps.max()).bit_length() for gaps in bundle.gaps), default=0)
        by_width.setdefault((bits, gap_bits, 2 if _in_pairs(bundle) else 1), []).append(bundle)
    for (bits, gap_bits, together), members in sorted(by_width.items(), key=lambda item: item[0]):
        if together == 2:
            _write_pairs(builder, members, bits)
        else:
            _write_singles(builder, members, bits, gap_bits)


def _in_pairs(bundle: Bundle) -> bool:
    """Two codes are looked up at once where one codebook serves a large tensor: it halves the intermediates."""
    [part, *others] = bundle.parts
    return not bundle.gaps and not others and part.codebook.groups == 1 and part.size >= _PAIRS_FROM


def _write_pairs(builder: Builder, bundles: Sequence[Bundle], bits: int) -> None:
    """A payload for every bundle: cutting one out of a joint payload would cost two more copies of it at load."""
    every = builder.op("Range", builder.ints(0), builder.ints(1 << 2 * bits), builder.ints(1))
    column = builder.op("Reshape", every, builder.ints([-1, 1], "int64"))
    digits = builder.op("Mod", builder.op("Div", column, builder.ints([1 << bits, 1])), builder.ints(1 << bits))
    for bundle in bundles:
        [codes] = bundle.codes
        padded = np.zeros(-(-codes.size // 16) * 16, np.uint16)
        padded[: codes.size] = codes
        table, _ = _codebooks(bundle)
        full = np.zeros(1 << bits, table.dtype)
        full[: table.size] = table
        pairs = builder.op("Gather", value_table(builder, full), digits)
        values = builder.op(
            "Gather", pairs, _unpack(builder, (padded[::2] << bits | padded[1::2]).astype(np.uint16), 2 * bits)
        )
        if padded.size > codes.size:
            flat = builder.op("Reshape", values, builder.ints([-1], "int64"))
            values = builder.slice(flat, 0, codes.size)
        write_tensors(builder, bundle, None, values)


def _write_singles(builder: Builder, bundles: Sequence[Bundle], bits: int, gap_bits: int) -> None:
    indices = [_indices(bundle) for bundle in bundles]
    symbols: list[NDArray[Any]] = []
    for bundle, codes in zip(bundles, indices, strict=True):
        gapped = np.concatenate(bundle.gaps).astype(np.uint32) << bits | codes if bundle.gaps else codes
        symbols.append(gapped)
    joined = np.concatenate(symbols)
    unpacked = builder.op("Reshape", _unpack(builder, joined, bits + gap_bits), builder.ints([-1], "int64"))
    starts = list(accumulate((own.size for own in symbols), initial=0))
    for bundle, start, stop in zip(bundles, starts, starts[1:], strict=False):
        own = builder.slice(unpacked, start, stop)
        gaps = None
        if bundle.gaps:
            gaps = builder.op("Div", own, builder.ints(1 << bits))
            own = builder.op("Mod", own, builder.ints(1 << bits))
        table, runs = _codebooks(bundle)
        rows = shift_rows(builder, own, runs)
        write_tensors(builder, bundle, gaps, builder.op("Gather", value_table(builder, table), rows))


def _indices(bundle: Bundle) -> NDArray[np.unsignedinteger]:
    """Codes of all parts, a filler as the first index behind its codebook."""
    if not bundle.gaps:
        return np.concatenate(bundle.codes)
    indices = [
        np.where(codes == FILLER, part.codebook.size, codes).astype(np.uint16)
        for part, codes in zip(bundle.parts, bundle.codes, strict=True)
    ]
    return np.concatenate(indices)


def _codebooks(bundle: Bundle) -> tuple[NDArray[Any], list[Segment]]:
    """All codebooks behind each other, a zero behind each where there are fillers; equal ones are stored once."""
    rows: dict[bytes, int] = {}
    blocks: list[NDArray[Any]] = []
    runs, size = [], 0
    filler = any(bool((codes == FILLER).any()) for codes in bundle.codes)
    for part, counts in zip(bundle.parts, bundle.group_counts, strict=True):
        values = part.values()
        for group in np.flatnonzero(counts):
            block = values[group]
            if filler:
                block = np.append(block, np.zeros(1, block.dtype))
            row = rows.setdefault(block.tobytes(), size)
            if row == size:
                blocks.append(block)
                size += block.size
            runs.append(Segment(int(counts[group]), 0, row))
    return np.concatenate(blocks), runs


def _unpack(builder: Builder, symbols: NDArray[np.unsignedinteger], width: int) -> str:
    """Store symbols of `width` bits and append their decoder: int32 [8, an eighth of them, rounded up]."""
    groups = -(-symbols.size // 8)
    padded = np.zeros(groups * 8, symbols.dtype)
    padded[: symbols.size] = symbols
    by_group = padded.reshape(8, groups).T.reshape(-1)
    payload = pack(by_group, width)[0].reshape(groups, width).T
    octets = builder.cast(builder.constant(payload), np.int32)
    place = np.zeros((8, width), np.int64)
    shifts = []
    for symbol in range(8):
        first, offset = divmod(symbol * width, 8)
        touched = -(-(offset + width) // 8)
        for step in range(touched):
            place[symbol, first + step] = 1 << (8 * (touched - 1 - step))
        shifts.append([1 << (8 * touched - offset - width)])
    word = builder.op("MatMul", builder.ints(place), octets)
    return builder.op("Mod", builder.op("Div", word, builder.ints(np.array(shifts))), builder.ints(1 << width))
