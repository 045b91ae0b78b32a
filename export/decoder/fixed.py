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
from export.decoder.builder import Builder
from export.decoder.bundle import FILLER, Bundle, bundles_of, code_bits
from export.decoder.part import Part
from export.decoder.tables import Segment
from export.decoder.tensors import shift_rows, value_table, write_tensors

__all__ = ["fixed_memory", "write_fixed"]

_PAIRS_FROM = 1 << 15


def fixed_memory(elements: int, codes: int, bits: int, *, gaps: bool) -> int:
    """Bytes of the intermediates that a tensor of fixed-width codes leaves while a runtime folds it."""
    if gaps:
        return int(codes * (bits / 2 + 36)) + 12 * elements
    return int(elements * (bits / 2 + (18 if elements >= _PAIRS_FROM else 44)))


def write_fixed(builder: Builder, parts: Sequence[Part]) -> None:
    """Append the payload and the decoder of `parts`.

    Parameters
    ----------
    builder : Builder
    parts : sequence of Part
    """
    by_width: dict[tuple[int, int, int], list[Bundle]] = {}
    for bundle in bundles_of(parts, huffman=False):
        filler = any(bool((codes == FILLER).any()) for codes in bundle.codes)
        bits = max(code_bits(part.codebooks.shape[1], filler=filler) for part in bundle.parts)
        gap_bits = max((int(gaps.max()).bit_length() for gaps in bundle.gaps), default=0)
        by_width.setdefault((bits, gap_bits, 2 if _in_pairs(bundle) else 1), []).append(bundle)
    for (bits, gap_bits, together), members in sorted(by_width.items(), key=lambda item: item[0]):
        _write_width(builder, members, bits, gap_bits, together)


def _in_pairs(bundle: Bundle) -> bool:
    """Two codes are looked up at once where one codebook serves a large tensor: it halves the intermediates."""
    [part, *others] = bundle.parts
    return not bundle.gaps and not others and len(part.codebooks) == 1 and part.size >= _PAIRS_FROM


def _write_width(builder: Builder, bundles: Sequence[Bundle], bits: int, gap_bits: int, together: int) -> None:
    indices = [_indices(bundle) for bundle in bundles]
    symbols = []
    for bundle, codes in zip(bundles, indices, strict=True):
        if bundle.gaps:
            symbols.append(np.concatenate(bundle.gaps).astype(np.int64) << bits | codes)
        else:
            padded = np.zeros(-(-codes.size // (8 * together)) * 8 * together, np.int64)
            padded[: codes.size] = codes
            symbols.append(padded if together == 1 else padded[::2] << bits | padded[1::2])
    unpacked = _unpack(builder, np.concatenate(symbols), bits * together + gap_bits)
    digits = _pair_digits(builder, bits) if together == 2 else ""
    starts = list(accumulate((own.size for own in symbols), initial=0))
    for bundle, codes, start, stop in zip(bundles, indices, starts, starts[1:], strict=False):
        own = unpacked if len(bundles) == 1 and not bundle.gaps else builder.slice(unpacked, start, stop)
        table, runs = _codebooks(bundle)
        if together == 2:
            pairs = builder.op("Gather", value_table(builder, _padded_to(table, 1 << bits)), digits)
            values = builder.op("Gather", pairs, own)
            if codes.size != 2 * (stop - start):
                flat = builder.op("Reshape", values, builder.ints([-1], "int64"))
                values = builder.slice(flat, 0, codes.size)
            write_tensors(builder, bundle, None, values)
            continue
        gaps = None
        if bundle.gaps:
            gaps = builder.op("Div", own, builder.ints(1 << bits))
            own = builder.op("Mod", own, builder.ints(1 << bits))
        elif codes.size != stop - start or own == unpacked:
            own = builder.slice(own, 0, codes.size)
        rows = shift_rows(builder, own, runs)
        write_tensors(builder, bundle, gaps, builder.op("Gather", value_table(builder, table), rows))


def _indices(bundle: Bundle) -> NDArray[np.int64]:
    """Codes of all parts, a filler as the first index behind its codebook."""
    indices = [
        np.where(codes == FILLER, part.codebooks.shape[1], codes).astype(np.int64)
        for part, codes in zip(bundle.parts, bundle.codes, strict=True)
    ]
    return np.concatenate(indices)


def _codebooks(bundle: Bundle) -> tuple[NDArray[Any], list[Segment]]:
    """All codebooks behind each other, a zero behind each where there are fillers; equal ones are stored once."""
    rows: dict[bytes, int] = {}
    blocks: list[NDArray[Any]] = []
    runs, size = [], 0
    filler = any(bool((codes == FILLER).any()) for codes in bundle.codes)
    for part, groups in zip(bundle.parts, bundle.groups, strict=True):
        for group, count in zip(*np.unique(groups, return_counts=True), strict=True):
            block = part.codebooks[group]
            if filler:
                block = np.append(block, np.zeros(1, block.dtype))
            row = rows.setdefault(block.tobytes(), size)
            if row == size:
                blocks.append(block)
                size += block.size
            runs.append(Segment(int(count), 0, row))
    return np.concatenate(blocks), runs


def _unpack(builder: Builder, symbols: NDArray[np.int64], width: int) -> str:
    """Store symbols of `width` bits and append their decoder: int32, as many as there are and up to seven more."""
    groups = -(-symbols.size // 8)
    padded = np.zeros(groups * 8, np.int64)
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
    cut = builder.op("Mod", builder.op("Div", word, builder.ints(np.array(shifts))), builder.ints(1 << width))
    return builder.op("Reshape", cut, builder.ints([-1], "int64"))


def _pair_digits(builder: Builder, bits: int) -> str:
    """Both codes of every pair: int32 [4**bits, 2]."""
    every = builder.op("Range", builder.ints(0), builder.ints(1 << 2 * bits), builder.ints(1))
    column = builder.op("Reshape", every, builder.ints([-1, 1], "int64"))
    return builder.op("Mod", builder.op("Div", column, builder.ints([1 << bits, 1])), builder.ints(1 << bits))


def _padded_to(codebook: NDArray[Any], size: int) -> NDArray[Any]:
    padded = np.zeros(size, codebook.dtype)
    padded[: codebook.size] = codebook
    return padded
