"""How every part is coded: gaps or a code for every element, Huffman or fixed width, within a memory bound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.coding.huffman import code_lengths
from export.decoder.bundle import code_bits, fixed_gaps, huffman_gaps, steps_of
from export.decoder.fixed import fixed_memory
from export.decoder.huffman import huffman_memory, pair_length
from export.decoder.part import Part
from export.decoder.tables import MAX_LENGTH
from export.decoder.words import MAX_EXACT

__all__ = ["Plan", "plan_of"]

_LEAST_MEMORY = 16 << 20
_MEMORY_FACTOR = 8
_BITS_OF_FORM = 1600
_MAX_BITS = 1 << 31
_MARGIN = 1.1
_FRAGMENTED = 1.25


@dataclass(frozen=True, slots=True)
class Plan:
    """What `attach` does with every part.

    Parameters
    ----------
    huffman, fixed : tuple of Part
    memory : int
        Estimated bytes of the intermediates at load.
    max_load_memory : int
        The bound that was kept or, where even fixed widths exceed it, missed.
    forced : tuple of str
        Names of the parts that are coded with fixed widths only to keep the bound, or the bit positions countable.
    """

    huffman: tuple[Part, ...]
    fixed: tuple[Part, ...]
    memory: int
    max_load_memory: int
    forced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Option:
    part: Part
    bits: float
    memory: int


def plan_of(parts: Sequence[Part], *, huffman: bool, functions: bool, max_load_memory: int | None) -> Plan:
    """Choose the smallest form of every part, and fixed widths for as many as the memory bound demands.

    Parameters
    ----------
    parts : sequence of Part
    huffman : bool
        False codes everything with fixed widths.
    functions : bool
        False is meant for runtimes that are exact only below 2**24, and keeps bit positions there.
    max_load_memory : int or None
        None allows eight times the decoded tensors, and 16 MiB where that is less.
    """
    dense_bytes = sum(part.size * part.codebooks.dtype.itemsize for part in parts)
    allowed = max(_MEMORY_FACTOR * dense_bytes, _LEAST_MEMORY) if max_load_memory is None else max_load_memory
    fixed = {part.name: _best([_fixed(form) for form in _forms(part)]) for part in parts}
    if not huffman:
        memory = sum(option.memory for option in fixed.values())
        return Plan((), tuple(option.part for option in fixed.values()), memory, allowed, ())
    chosen = {part.name: _best([_huffman(form, functions=functions) for form in _forms(part)]) for part in parts}
    memory = sum(option.memory for option in chosen.values())
    bits = sum(option.bits for option in chosen.values())
    most_bits = _MAX_BITS if functions else MAX_EXACT
    forced = []
    for name in sorted(chosen, key=lambda name: _price(chosen[name], fixed[name])):
        if memory <= allowed and bits * _MARGIN <= most_bits:
            break
        if fixed[name].memory < chosen[name].memory or bits * _MARGIN > most_bits:
            memory += fixed[name].memory - chosen[name].memory
            bits -= chosen[name].bits
            forced.append(name)
    return Plan(
        tuple(option.part for name, option in chosen.items() if name not in forced),
        tuple(fixed[name].part for name in chosen if name in forced),
        memory,
        allowed,
        tuple(name for name in chosen if name in forced),
    )


def _forms(part: Part) -> list[Part]:
    filled = part.filled()
    return [part] if filled is None or filled is part else [part, filled]


def _best(options: Sequence[_Option]) -> _Option:
    """The smallest, but the form given unless another pays for the nodes that it needs beside."""
    return min(options, key=lambda option: option.bits + (_BITS_OF_FORM if option is not options[0] else 0))


def _price(huffman: _Option, fixed: _Option) -> float:
    """Bits of file for a byte of memory saved; what saves nothing comes last."""
    saved = huffman.memory - fixed.memory
    return (fixed.bits - huffman.bits) / saved if saved > 0 else np.inf


def _huffman(part: Part, *, functions: bool) -> _Option:
    counts = np.bincount(part.codes)
    present = counts[counts > 0]
    lengths = code_lengths(present, pair_length(part) or MAX_LENGTH)
    bits = float((present * lengths).sum()) + 8 * present.size
    if part.positions is not None:
        bits += huffman_gaps(steps_of(part.positions), part.codebooks.shape[1])[1]
    return _Option(part, bits, int(_FRAGMENTED * huffman_memory(part, int(bits), functions=functions)))


def _fixed(part: Part) -> _Option:
    width = code_bits(part.codebooks.shape[1], filler=False)
    if part.positions is None:
        memory = fixed_memory(part.size, part.size, width, gaps=False)
        return _Option(part, part.size * width, int(_FRAGMENTED * memory))
    _, bits = fixed_gaps(steps_of(part.positions), part.codebooks.shape[1])
    memory = fixed_memory(part.size, part.codes.size, 2 * width, gaps=True)
    return _Option(part, bits, int(_FRAGMENTED * memory))
