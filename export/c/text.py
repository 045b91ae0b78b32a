"""C text: numbers that read back exactly, arrays in lines of bounded length, and what a step's code consists of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIGN", "TILE", "Piece", "array", "index_type", "number", "round_up"]

ALIGN = 16
"""Values in the workspace begin at multiples of so many floats (64 bytes)."""

TILE = 64
"""Images that the fully connected end of a network takes at once in a batch."""

_LINE = 116


@dataclass(frozen=True, slots=True)
class Piece:
    """The code of one step.

    Parameters
    ----------
    definitions : str
        Static tables and functions.
    calls : str
        Statements that run it; `{x}`, `{y}` (second input `{x1}`, …) and `{s}` stand for its input, output, scratch.
    scratch : int
        Floats of working memory that it needs beside its values.
    reads_past : bool
        Whether it may read (and ignore) up to SLACK floats behind its input.
    writes_past : int
        Floats behind its output that it may overwrite.
    """

    definitions: str
    calls: str
    scratch: int = 0
    reads_past: bool = False
    writes_past: int = 0


def round_up(size: int, multiple: int) -> int:
    """The next multiple, at least `size`."""
    return -(-size // multiple) * multiple


def number(value: float | np.floating) -> str:
    """A float32 as a C99 constant: decimal where nine digits or fewer read back exactly, which is always.

    >>> number(np.float32(0.1)), number(1.0), number(-2.5)
    ('0.1f', '1.0f', '-2.5f')
    """
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0", exp_digits=1)
    plain = np.format_float_positional(np.float32(value), unique=True, trim="0")
    return (plain if len(plain) <= len(text) else text) + "f"


def index_type(largest: int) -> str:
    """The narrowest unsigned type of stdint.h that holds `largest`.

    >>> index_type(255), index_type(256), index_type(70000)
    ('uint8_t', 'uint16_t', 'uint32_t')
    """
    if largest < 2**8:
        return "uint8_t"
    return "uint16_t" if largest < 2**16 else "uint32_t"


def array(name: str, values: NDArray[np.generic], kind: str, *, aligned: bool = False) -> str:
    """A static constant array, one zero where there is no value: C has no empty array.

    >>> print(array("t", np.array([1, 2]), "uint8_t"), end="")
    static const uint8_t t[2] = {
        1,2,
    };
    """
    flat: list[float] = values.astype(np.float32 if kind == "float" else np.int64).ravel().tolist()
    items = [number(value) if kind == "float" else str(value) for value in flat] or ["0"]
    lines, line = [], ""
    for item in items:
        if len(line) + len(item) + 1 > _LINE:
            lines.append(line)
            line = ""
        line += item + ","
    lines.append(line)
    body = "\n".join("    " + text for text in lines)
    return f"static const {kind} {name}[{len(items)}]{' ALIGNED' if aligned else ''} = {{\n{body}\n}};\n"
