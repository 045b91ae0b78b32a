"""What every entropy coder offers: how it fits a stream of symbols, and what a fitted one can do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compress.coding.bits import BitReader, BitWriter

__all__ = ["ALPHABET", "Coder", "Model"]

ALPHABET = 256
"""Symbols are bytes."""


class Model(Protocol):
    """A coder with everything it must know of a stream, such as a table; several streams may share it."""

    def write(self, out: BitWriter) -> None:
        """Append the model itself."""

    def payload_bits(self, counts: NDArray[np.int64]) -> int | None:
        """About how many bits symbols with these counts (int64 [256]) take; None where one cannot be coded."""

    def encode(self, out: BitWriter, symbols: NDArray[np.uint8]) -> None:
        """Append one or more symbols, uint8 [n]."""

    def decode(self, reader: BitReader, count: int, thing: str) -> tuple[NDArray[np.uint8], int]:
        """Read `count` >= 1 symbols: uint8 [count], and how many of the bits read served random access only.

        The caller has checked that so many symbols may be allocated; `thing` names the stream in messages.

        Raises
        ------
        CorruptFileError
        """


@dataclass(frozen=True, slots=True)
class Coder:
    """A way to code a stream of symbols.

    Parameters
    ----------
    number : int
        What a packed file calls it, for ever (FORMAT.md, section 5.1); a new coder takes the next one.
    summary : str
        One line for people who choose.
    fit : callable
        Counts of a stream's symbols (int64 [256], one at least is not 0) → the best model of this kind, or None
        where this coder cannot code such a stream.
    read : callable
        A reader and the name of the stream → the model that `Model.write` wrote.
    """

    number: int
    summary: str
    fit: Callable[[NDArray[np.int64]], Model | None]
    read: Callable[[BitReader, str], Model]
