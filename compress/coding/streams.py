"""A stream of symbols in a packed file: the model chosen among all coders and the file's earlier (FORMAT.md, 5)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.coding import CODERS
from compress.coding.bits import BitReader, BitWriter
from compress.coding.model import Model
from compress.errors import CorruptFileError

__all__ = ["Choice", "StreamModels"]

_NAME_OF_NUMBER = {coder.number: name for name, coder in CODERS.items()}


@dataclass(frozen=True, slots=True)
class Choice:
    """A model for one stream.

    Parameters
    ----------
    coder : str
        Key in CODERS.
    model : Model
    tag : int
        What belongs to the model, such as the width of gaps; below 2**tag_bits.
    back : int
        The model is the `back`-th last of its kind; 0 for a new one.
    """

    coder: str
    model: Model
    tag: int
    back: int


class StreamModels:
    """The models of one kind of stream in one file, in the order in which they first occur.

    Parameters
    ----------
    tag_bits : int
        Bits of the number that is kept with every model.
    """

    def __init__(self, tag_bits: int = 0) -> None:
        self._tag_bits = tag_bits
        self._known: list[Choice] = []

    def choose(self, counts_of_tag: Mapping[int, NDArray[np.int64]]) -> Choice:
        """The model that takes the fewest bits, its own description included.

        Parameters
        ----------
        counts_of_tag : mapping of int to int64 [256]
            For every tag allowed, the counts of the symbols that the stream would have; none is empty.

        Returns
        -------
        Choice
            Of equal ones the latest earlier model, then the first in the order of the tags and of CODERS.
        """
        return min(self._candidates(counts_of_tag), key=lambda candidate: candidate[0])[1]

    def _candidates(self, counts_of_tag: Mapping[int, NDArray[np.int64]]) -> Iterator[tuple[int, Choice]]:
        for back, known in enumerate(reversed(self._known), 1):
            counts = counts_of_tag.get(known.tag)
            payload_bits = None if counts is None else known.model.payload_bits(counts)
            if payload_bits is not None:
                choice = Choice(known.coder, known.model, known.tag, back)
                yield self._header_bits(choice) + payload_bits, choice
        for tag, counts in counts_of_tag.items():
            for name, coder in CODERS.items():
                model = coder.fit(counts)
                payload_bits = None if model is None else model.payload_bits(counts)
                if model is not None and payload_bits is not None:
                    choice = Choice(name, model, tag, 0)
                    yield self._header_bits(choice) + payload_bits, choice

    def _header_bits(self, choice: Choice) -> int:
        out = BitWriter()
        self._write_header(out, choice)
        return out.bit_count

    def _write_header(self, out: BitWriter, choice: Choice) -> None:
        out.write_golomb(choice.back, 0)
        if choice.back == 0:
            out.write(choice.tag, self._tag_bits)
            out.write_golomb(CODERS[choice.coder].number, 0)
            choice.model.write(out)

    def write(self, out: BitWriter, choice: Choice) -> None:
        """Append the choice, and remember its model if it is new."""
        self._write_header(out, choice)
        if choice.back == 0:
            self._known.append(choice)

    def read(self, reader: BitReader, thing: str) -> Choice:
        """Read what `write` wrote.

        Raises
        ------
        CorruptFileError
            It names a coder or an earlier model that there is not.
        """
        back = reader.read_golomb(0, f"{thing}, model")
        if back > len(self._known):
            raise CorruptFileError(f"{thing}, model: found the {back}th last, allowed up to {len(self._known)}")
        if back:
            known = self._known[-back]
            return Choice(known.coder, known.model, known.tag, back)
        tag = reader.read(self._tag_bits, thing)
        number = reader.read_golomb(0, f"{thing}, coder")
        name = _NAME_OF_NUMBER.get(number)
        if name is None:
            raise CorruptFileError(f"{thing}, coder: found {number}, allowed 0 to {max(_NAME_OF_NUMBER)}")
        choice = Choice(name, CODERS[name].read(reader, thing), tag, 0)
        self._known.append(choice)
        return choice
