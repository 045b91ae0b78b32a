"""What both ways to follow a Huffman bitstream share: the words of the payload, and the tables by window.

Values stay below 2**24 wherever a runtime other than onnxruntime may read the graph:
OpenVINO was seen to divide int32 by way of float32.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.onnx.decoder.builder import Builder

__all__ = ["MAX_EXACT", "Words", "lengths_of_ranks", "narrow_words", "rank_of_slot", "wide_words"]

MAX_EXACT = 1 << 24
"""Integers below are exact in float32."""

_PACKED_LENGTHS_FROM = 200
"""Ranks from which on half a byte each saves more than the nodes take that cut bytes in two: with 100 in its place
Caffe's LeNet-5 is 38 bytes larger."""


@dataclass(frozen=True, slots=True)
class Words:
    """Integers from which a window at any bit position can be divided out.

    Parameters
    ----------
    name : str
        int32 tensor: at i, the bits from i · `step` on.
    bits : int
        Bits of a word.
    step : int
        Bits from one word to the next.
    """

    name: str
    bits: int
    step: int

    def shifts(self, window: int) -> list[int]:
        """Divisors that move `window` bits to the bottom of a word, for every offset of their first bit in a step."""
        return [1 << (self.bits - window - offset) for offset in range(self.step)]


def narrow_words(builder: Builder, payload: NDArray[np.uint8], *, as_column: bool = False) -> Words:
    """Append the payload; words of 24 bits, one from every byte on: int32 [bytes], or [bytes, 1]."""
    size = payload.size
    padded = np.concatenate([payload, np.zeros(2, np.uint8)])
    octets = builder.cast(builder.constant(padded, (size + 2, 1) if as_column else None), np.int32)
    word, second, third = (builder.slice(octets, start, start + size) for start in range(3))
    for following in (second, third):
        word = builder.op("Add", builder.op("Mul", word, builder.ints(256)), following)
    return Words(word, 24, 8)


def wide_words(builder: Builder, payload: NDArray[np.uint8]) -> Words:
    """Append the payload; words of 31 bits, one from every second byte on: half the memory of narrow ones."""
    count = -(-payload.size // 2)
    padded = np.zeros(2 * count + 2, np.uint8)
    padded[: payload.size] = payload
    stored = builder.constant(padded.view(">u2").astype(np.uint16))
    high = builder.cast(builder.slice(stored, 0, count), np.int32)
    low = builder.cast(builder.slice(stored, 1, count + 1), np.int32)
    high = builder.op("Mul", high, builder.ints(1 << 15))
    return Words(builder.op("Add", high, builder.op("Div", low, builder.ints(2))), 31, 16)


def lengths_of_ranks(builder: Builder, lengths: NDArray[np.uint8]) -> str:
    """Append the codeword length of every rank, two to a byte where there are many: int32 [ranks]."""
    if lengths.size < _PACKED_LENGTHS_FROM:
        return builder.cast(builder.constant(lengths), np.int32)
    padded = np.append(lengths, np.full(lengths.size % 2, lengths[-1]))
    octets = builder.cast(builder.constant(padded[::2] << 4 | padded[1::2], (padded.size // 2, 1)), np.int32)
    sixteen = builder.ints(16)
    nibbles = builder.op("Mod", builder.op("Div", octets, builder.ints([16, 1])), sixteen)
    flat = builder.op("Reshape", nibbles, builder.ints([-1], "int64"))
    return flat if padded.size == lengths.size else builder.slice(flat, 0, lengths.size)


def rank_of_slot(builder: Builder, length_of_rank: str, max_length: int, tables: int, zeros: str | None = None) -> str:
    """The rank that every window decodes to, all tables behind each other: int32 [tables << max_length].

    `zeros` is an int32 [that many, or more], where there is one.
    """
    powers = builder.ints([1 << (max_length - length) for length in range(max_length + 1)])
    widths = builder.op("Gather", powers, length_of_rank)
    starts = builder.starts(widths)
    zeros = zeros or builder.zeros((tables << max_length,), np.int32)
    return builder.cumsum(builder.op("ScatterElements", zeros, starts, builder.op("Sign", starts)))
