"""How every part is coded: gaps or a code for every element, Huffman or fixed width, within a memory bound."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from compress.coding.huffman_codes import code_lengths
from compress.elements import ordinals
from compress.representation import MAX_BITS, Codebook, CodedTensor
from export.onnx.decoder.bundle import code_bits, fixed_gaps, huffman_gaps, steps_of
from export.onnx.decoder.fixed import fixed_memory
from export.onnx.decoder.huffman import huffman_memory
from export.onnx.decoder.lanes import words_memory
from export.onnx.decoder.phases import MOST_PHASES, Piece, phases_of
from export.onnx.decoder.tables import MAX_LENGTH
from export.onnx.decoder.words import MAX_EXACT

__all__ = ["Plan", "default_memory", "plan_of"]

_LEAST_MEMORY = 16 << 20
"""What any network may take. Doubling, which gives small networks the smallest file, looks at every bit: LeNet-5, whose
weights take 0.24 MB, takes 11 MiB."""

_MEMORY_FACTOR = 8
"""Bytes for a byte of dense weights: the larger networks of docs/onnx.md come to 4.9 to 6.7 at 0.9. Less would send
tensors into more phases, and then to fixed widths, which take more bytes of the file."""

_LEAST_BYTES_OF_WEIGHT = 16
"""Four int32: a gap, a position, a code and a row are indices, however narrow the weight that they lead to."""

_BITS_OF_FORM = 1600
"""About what a tensor takes that alone has no gaps, for the nodes of a bundle more. Without it LeNet-5's file is 54
bytes larger; from 800 bits on it is the same."""

_MAX_BITS = 1 << 31
"""Bit positions are int32."""

_MARGIN = 1.1
"""The stream may be so much longer than estimated: gaps are counted by their entropy, and tables may be shared."""

_FRAGMENTED = 1.25
"""Peak memory over the sum of the intermediates of fixed widths, as seen in onnxruntime."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `attach` does with every part.

    Parameters
    ----------
    phases : tuple of tuple of Piece
        Parts whose codes, and gaps, are Huffman-coded; what a phase leaves behind at load is freed before the next.
    fixed : tuple of CodedTensor
    memory : int
        Estimated bytes of the intermediates at load, those of the largest phase.
    max_load_memory : int
        The bound that was kept or, where even fixed widths exceed it, missed.
    forced : tuple of str
        Names of the parts that are coded with fixed widths only to keep the bound, or the bit positions countable.
    """

    phases: tuple[tuple[Piece, ...], ...]
    fixed: tuple[CodedTensor, ...]
    memory: int
    max_load_memory: int
    forced: tuple[str, ...]

    @property
    def huffman(self) -> tuple[CodedTensor, ...]:
        """The parts that `phases` decode."""
        return tuple({piece.part.name: piece.part for phase in self.phases for piece in phase}.values())


@dataclass(frozen=True, slots=True)
class _Option:
    kind: str
    part: CodedTensor
    bits: float
    memory: int


def default_memory(parts: Sequence[CodedTensor]) -> int:
    """Bytes that decoding may take at load: eight times the decoded tensors, at least 16 MiB, 16 bytes for a weight.

    Indices are int32, whatever they look up: a tensor of bytes cannot be decoded in eight times its size.
    """
    bytes_of_weight = [max(_MEMORY_FACTOR * part.dtype.itemsize, _LEAST_BYTES_OF_WEIGHT) for part in parts]
    return max(sum(part.size * own for part, own in zip(parts, bytes_of_weight, strict=True)), _LEAST_MEMORY)


def plan_of(parts: Sequence[CodedTensor], *, huffman: bool, functions: bool, max_load_memory: int | None) -> Plan:
    """Choose the smallest form of every part, and fixed widths for as many as the memory bound demands.

    Parameters
    ----------
    parts : sequence of CodedTensor
    huffman : bool
        False codes everything with fixed widths.
    functions : bool
        False is meant for runtimes that fold in one pass and are exact only below 2**24: it decodes in one phase,
        and keeps bit positions there.
    max_load_memory : int or None
        None allows `default_memory`.
    """
    allowed = default_memory(parts) if max_load_memory is None else max_load_memory
    options = [_options(part, huffman=huffman, functions=functions) for part in parts]
    most_bits, most_phases = (_MAX_BITS, MOST_PHASES) if functions else (MAX_EXACT, 1)
    place = [0] * len(options)
    while True:
        chosen = [own[index] for own, index in zip(options, place, strict=True)]
        coded = [option for option in chosen if option.kind == "huffman"]
        fixed = [option for option in chosen if option.kind == "fixed"]
        bits = sum(option.bits for option in coded)
        made, kept = words_memory(int(bits), functions=functions)
        phases, memory = phases_of(
            [option.part for option in coded],
            [option.memory for option in coded],
            beside=made + sum(option.memory for option in fixed),
            kept=kept,
            allowed=allowed,
            most=most_phases,
        )
        steps = [index for index, own in enumerate(options) if place[index] + 1 < len(own)]
        too_long = bits * _MARGIN > most_bits
        if not too_long:
            steps = [index for index in steps if options[index][1].memory < options[index][0].memory]
        if not steps or (memory <= allowed and not too_long):
            break
        place[min(steps, key=lambda index: (_price(*options[index]), index))] += 1
    return Plan(
        phases=tuple(tuple(phase) for phase in phases),
        fixed=tuple(option.part for option in fixed),
        memory=memory,
        max_load_memory=allowed,
        forced=tuple(option.part.name for option in fixed) if huffman else (),
    )


def _price(before: _Option, after: _Option) -> float:
    """Bits that the second option costs for a byte of memory that it saves."""
    saved = before.memory - after.memory
    return (after.bits - before.bits) / saved if saved > 0 else np.inf


def _options(part: CodedTensor, *, huffman: bool, functions: bool) -> list[_Option]:
    forms = _forms(part)
    fixed = _best([_fixed(form) for form in forms])
    return [_best([_huffman(form, functions=functions) for form in forms]), fixed] if huffman else [fixed]


def _forms(part: CodedTensor) -> list[CodedTensor]:
    if part.positions is None:
        return [part]
    filled = _filled(part)
    return [part] if filled is None else [part, filled]


def _filled(part: CodedTensor) -> CodedTensor | None:
    """The same tensor with a code for every element, zero being one more value; None where 256 do not suffice."""
    values, size = part.values(), part.codebook.size
    if size == 1 << MAX_BITS or part.positions is None:
        return None
    numbers = ordinals(values)
    places = np.array([np.searchsorted(row, 0) for row in numbers])
    widened = np.insert(values.reshape(-1), np.arange(len(values)) * size + places, values.dtype.type(0))
    counts = part.group_counts()
    sizes = np.diff(np.minimum(np.arange(len(values) + 1) * part.group_size, part.size))
    codes = np.repeat(places.astype(np.uint8), sizes)
    codes[part.positions] = part.codes + (part.codes >= np.repeat(places, counts))
    codebook = Codebook(widened.reshape(len(values), size + 1), max(part.bits, size.bit_length()))
    return replace(part, positions=None, codes=codes, codebook=codebook)


def _best(options: Sequence[_Option]) -> _Option:
    """The smallest, but the form given unless another pays for the nodes that it needs beside."""
    return min(options, key=lambda option: option.bits + (_BITS_OF_FORM if option is not options[0] else 0))


def _huffman(part: CodedTensor, *, functions: bool) -> _Option:
    counts = np.bincount(part.codes)
    present = counts[counts > 0]
    lengths = code_lengths(present, MAX_LENGTH)
    bits = float((present * lengths).sum()) + 8 * present.size
    if part.positions is not None:
        bits += huffman_gaps(steps_of(part.positions), part.codebook.size)[1]
    memory = huffman_memory(part, functions=functions)
    return _Option("huffman", part, bits, memory)


def _fixed(part: CodedTensor) -> _Option:
    width = code_bits(part.codebook.size, filler=False)
    if part.positions is None:
        memory = fixed_memory(part.size, part.size, width, gaps=False)
        return _Option("fixed", part, part.size * width, int(_FRAGMENTED * memory))
    _, bits = fixed_gaps(steps_of(part.positions), part.codebook.size)
    memory = fixed_memory(part.size, part.codes.size, 2 * width, gaps=True)
    return _Option("fixed", part, bits, int(_FRAGMENTED * memory))
