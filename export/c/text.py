"""C text that knows what it needs: numbers that read back exactly, arrays in lines of bounded length, a step's code."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIGN", "TILE", "Code", "Piece", "array", "guarded", "index_type", "joined", "number", "round_up"]

ALIGN = 16
"""Values in the workspace begin at multiples of so many floats (64 bytes): a cache line, and the widest vector."""

TILE = 64
"""Images that the fully connected end of a network takes at once in a batch: four of the widest vectors, as many as the
kernel tile16 has in a pass, so that a place and a weight are read once for all."""

_LINE = 116
"""Characters of numbers in a line: with the indentation, what an editor shows without wrapping."""

_BYTES = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "float": 4}


@dataclass(frozen=True, slots=True)
class Code:
    """C text and what it asks of the file around it; `+` puts one behind the other.

    Parameters
    ----------
    text : str
    needs : frozenset of str
        Kernels that it calls, by their names in `KERNELS`, and row buffers that it writes to.
    table_bytes : int
        Constant tables that a compiler keeps where there are neither wide vectors nor tiles: a microcontroller's.
    """

    text: str = ""
    needs: frozenset[str] = frozenset()
    table_bytes: int = 0

    def __add__(self, other: "Code | str") -> "Code":
        if isinstance(other, str):
            return replace(self, text=self.text + other)
        return Code(self.text + other.text, self.needs | other.needs, self.table_bytes + other.table_bytes)

    def __bool__(self) -> bool:
        return bool(self.text)


def joined(parts: Iterable[Code | str], separator: str = "") -> Code:
    """All parts behind each other.

    >>> joined(["a;", Code("b();", frozenset({"b"}))], " ")
    Code(text='a; b();', needs=frozenset({'b'}), table_bytes=0)
    """
    codes = [Code(part) if isinstance(part, str) else part for part in parts]
    return Code(
        separator.join(code.text for code in codes),
        frozenset[str]().union(*(code.needs for code in codes)),
        sum(code.table_bytes for code in codes),
    )


def guarded(condition: str, code: Code | str, otherwise: Code | str | None = None) -> Code:
    """Lines for where the preprocessor finds a condition that no microcontroller meets, and lines for elsewhere."""
    absent = joined([code])
    absent = replace(absent, table_bytes=0)
    lines = Code(f"#if {condition}\n") + absent
    return lines + "#endif\n" if otherwise is None else lines + "#else\n" + joined([otherwise]) + "#endif\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """The code of one step.

    Parameters
    ----------
    definitions : Code
        Static tables and functions.
    calls : Code
        Statements that run it; `{x}`, `{y}` (second input `{x1}`, …) and `{s}` stand for its input, output, scratch.
    scratch : int
        Floats of working memory that it needs beside its values.
    reads_past : bool
        Whether it may read (and ignore) up to SLACK floats behind its input.
    writes_past : int
        Floats behind its output that it may overwrite.
    """

    definitions: Code
    calls: Code
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


def array(name: str, values: NDArray[np.generic], kind: str, *, aligned: bool = False) -> Code:
    """A static constant array, one zero where there is no value: C has no empty array.

    >>> print(array("t", np.array([1, 2]), "uint8_t").text, end="")
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
    text = f"static const {kind} {name}[{len(items)}]{' ALIGNED' if aligned else ''} = {{\n{body}\n}};\n"
    return Code(text, table_bytes=_BYTES[kind] * len(items))
