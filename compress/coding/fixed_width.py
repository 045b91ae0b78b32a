"""The fixed width coder: every symbol in equally many bits, for streams too short or too even for a table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter, pack, unpack

__all__ = ["FixedWidthModel", "fit", "read"]


@dataclass(frozen=True, slots=True)
class FixedWidthModel:
    """Symbols below 2**width, 1 <= width <= 8."""

    width: int

    def write(self, out: BitWriter) -> None:
        out.write(self.width - 1, 3)

    def payload_bits(self, counts: NDArray[np.int64]) -> int | None:
        if counts[1 << self.width :].any():
            return None
        return int(counts.sum()) * self.width

    def encode(self, out: BitWriter, symbols: NDArray[np.uint8]) -> None:
        out.write_packed(*pack(symbols, self.width))

    def decode(self, reader: BitReader, count: int, thing: str) -> tuple[NDArray[np.uint8], int]:
        return unpack(reader, count, self.width, thing).astype(np.uint8), 0


def fit(counts: NDArray[np.int64]) -> FixedWidthModel:
    """The narrowest width that holds every symbol."""
    return FixedWidthModel(max(1, int(np.flatnonzero(counts)[-1]).bit_length()))


def read(reader: BitReader, thing: str) -> FixedWidthModel:
    """Read a model (FORMAT.md, section 5.4)."""
    return FixedWidthModel(reader.read(3, f"{thing}, width") + 1)
