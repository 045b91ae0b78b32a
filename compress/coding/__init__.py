"""Entropy coding of streams of symbols: one coder a file, all of them listed in CODERS."""

from collections.abc import Mapping
from types import MappingProxyType

from compress.coding import constant, fixed_width
from compress.coding import huffman as prefix
from compress.coding.model import Coder

__all__ = ["CODERS"]

CODERS: Mapping[str, Coder] = MappingProxyType(
    {
        "huffman": Coder(summary="canonical Huffman codewords of at most 15 bits", fit=prefix.fit, read=prefix.read),
        "fixed-width": Coder(summary="every symbol in equally many bits", fit=fixed_width.fit, read=fixed_width.read),
        "constant": Coder(summary="one symbol over and over, in no bits", fit=constant.fit, read=constant.read),
    }
)
"""Name of a coder → how it fits and reads. A packed file holds the place in this list: add at its end."""
