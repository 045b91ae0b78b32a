"""Entropy coding of streams of symbols: one coder a file, all of them listed in CODERS."""

from collections.abc import Mapping
from types import MappingProxyType

from compress.coding import constant, fixed_width, huffman
from compress.coding.model import Coder

__all__ = ["CODERS"]

CODERS: Mapping[str, Coder] = MappingProxyType(
    {
        "huffman": Coder(0, "canonical Huffman codewords of at most 15 bits", huffman.fit, huffman.read),
        "fixed-width": Coder(1, "every symbol in equally many bits", fixed_width.fit, fixed_width.read),
        "constant": Coder(2, "one symbol over and over, in no bits", constant.fit, constant.read),
    }
)
"""Name of a coder → its number in packed files, and how it fits and reads. Of equally good ones the first is taken."""
