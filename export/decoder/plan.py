"""How every part is coded: gaps or a code for every element, Huffman or fixed width, within a memory bound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.coding.huffman import code_lengths
from export.decoder.bundle import code_bits, fixed_gaps, huffman_gaps, steps_of
from export.decoder.fixed import fixed_memory
from export.decoder.huffman import PAIR_LENGTH, huffman_memory, may_be_paired, worth_pairing
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
_FRAGMENTED_PLAIN = 1.8
"""Peak memory over the sum of the intermediates, as seen in onnxruntime; more where every step has its nodes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `attach` does with every part.

    Parameters
    ----------
    huffman : tuple of Part
        A codeword at a time.
    pairs : tuple of Part
        Two codewords at a time, none longer than 8 bits: less memory at load, some more bits.
    fixed : tuple of Part
    memory : int
        Estimated bytes of the intermediates at load.
    max_load_memory : int
        The bound that was kept or, where even fixed widths exceed it, missed.
    forced : tuple of str
        Names of the parts that are coded with fixed widths only to keep the bound, or the bit positions countable.
    """

    huffman: tuple[Part, ...]
    pairs: tuple[Part, ...]
    fixed: tuple[Part, ...]
    memory: int
    max_load_memory: int
    forced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Option:
    kind: str
    part: Part
    bits: float
    memory: int


def plan_of(parts: Sequence[Part], *, huffman: bool, functions: bool, max_load_memory: int | None) -> Plan:
    """Choose the smallest form of every part, and more modest ones for as many as the memory bound demands.

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
    paired = worth_pairing([part for part in parts if may_be_paired(part)])
    options = [_options(part, huffman=huffman, paired=paired, functions=functions) for part in parts]
    chosen = _choose(options, allowed, _MAX_BITS if functions else MAX_EXACT)
    if not worth_pairing([option.part for option in chosen if option.kind == "pairs"]):
        options = [[option for option in own if option.kind != "pairs"] for own in options]
        chosen = _choose(options, allowed, _MAX_BITS if functions else MAX_EXACT)
    by_kind = {
        kind: tuple(option.part for option in chosen if option.kind == kind) for kind in ("huffman", "pairs", "fixed")
    }
    return Plan(
        **by_kind,
        memory=sum(option.memory for option in chosen),
        max_load_memory=allowed,
        forced=tuple(part.name for part in by_kind["fixed"]) if huffman else (),
    )


def _choose(options: Sequence[Sequence[_Option]], allowed: int, most_bits: int) -> list[_Option]:
    """Every part's first option; then the step that costs fewest bits for a byte of memory, until the bounds are kept.

    The options of a part take more bits and less memory from one to the next.
    """
    place = [0] * len(options)

    def price(index: int) -> float:
        before, after = options[index][place[index] : place[index] + 2]
        saved = before.memory - after.memory
        return (after.bits - before.bits) / saved if saved > 0 else np.inf

    chosen = [own[0] for own in options]
    memory = sum(option.memory for option in chosen)
    bits = sum(option.bits for option in chosen if option.kind != "fixed")
    while memory > allowed or bits * _MARGIN > most_bits:
        open_steps = [index for index, own in enumerate(options) if place[index] + 1 < len(own)]
        if not open_steps:
            break
        index = min(open_steps, key=lambda index: (price(index), index))
        if bits * _MARGIN <= most_bits and price(index) == np.inf:
            break
        before, after = options[index][place[index] : place[index] + 2]
        place[index] += 1
        memory += after.memory - before.memory
        bits += (after.bits if after.kind != "fixed" else 0.0) - before.bits
        chosen[index] = after
    return chosen


def _options(part: Part, *, huffman: bool, paired: bool, functions: bool) -> list[_Option]:
    forms = _forms(part)
    options = [_best([_fixed(form) for form in forms])]
    if huffman:
        best = _best([_huffman(form, functions=functions) for form in forms])
        if paired and may_be_paired(best.part):
            pairs = _huffman(best.part, functions=functions, pairs=True)
            options = [pairs, *options] if pairs.bits < options[0].bits else options
        options = [best, *options]
    return options


def _forms(part: Part) -> list[Part]:
    filled = part.filled()
    if part.codes.size == part.size and filled is not None:
        return [filled]
    return [part] if filled is None else [part, filled]


def _best(options: Sequence[_Option]) -> _Option:
    """The smallest, but the form given unless another pays for the nodes that it needs beside."""
    return min(options, key=lambda option: option.bits + (_BITS_OF_FORM if option is not options[0] else 0))


def _huffman(part: Part, *, functions: bool, pairs: bool = False) -> _Option:
    counts = np.bincount(part.codes)
    present = counts[counts > 0]
    lengths = code_lengths(present, PAIR_LENGTH if pairs else MAX_LENGTH)
    bits = float((present * lengths).sum()) + 8 * present.size
    if part.positions is not None:
        bits += huffman_gaps(steps_of(part.positions), part.codebooks.shape[1])[1]
    memory = huffman_memory(part, int(bits), pairs=pairs, functions=functions)
    peak = (_FRAGMENTED if functions else _FRAGMENTED_PLAIN) * memory
    return _Option("pairs" if pairs else "huffman", part, bits, int(peak))


def _fixed(part: Part) -> _Option:
    width = code_bits(part.codebooks.shape[1], filler=False)
    if part.positions is None:
        memory = fixed_memory(part.size, part.size, width, gaps=False)
        return _Option("fixed", part, part.size * width, int(_FRAGMENTED * memory))
    _, bits = fixed_gaps(steps_of(part.positions), part.codebooks.shape[1])
    memory = fixed_memory(part.size, part.codes.size, 2 * width, gaps=True)
    return _Option("fixed", part, bits, int(_FRAGMENTED * memory))
