"""The constant coder: a stream of one symbol over and over takes no payload at all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter

__all__ = ["ConstantModel", "fit", "read"]


@dataclass(frozen=True, slots=True)
class ConstantModel:
    """The one symbol."""

    symbol: int

    def write(self, out: BitWriter) -> None:
        out.write(self.symbol, 8)

    def payload_bits(self, counts: NDArray[np.int64]) -> int | None:
        return 0 if int(counts[self.symbol]) == int(counts.sum()) else None

    def encode(self, out: BitWriter, symbols: NDArray[np.uint8]) -> None:
        """Append nothing."""

    def decode(self, reader: BitReader, count: int, thing: str) -> tuple[NDArray[np.uint8], int]:
        return np.full(count, self.symbol, dtype=np.uint8), 0


def fit(counts: NDArray[np.int64]) -> ConstantModel | None:
    """The model, where only one symbol occurs."""
    used = np.flatnonzero(counts)
    return ConstantModel(int(used[0])) if used.size == 1 else None


def read(reader: BitReader, thing: str) -> ConstantModel:
    """Read a model (FORMAT.md, section 5.5)."""
    return ConstantModel(reader.read(8, f"{thing}, symbol"))
