"""The fixed part of generated C as files that a compiler sees: vectors, and the loops that all layers share.

A kernel NAME.c begins with what is for its reader and for a compiler that sees it
alone, up to its last `#include`; what follows goes into a generated file that
needs it. A kernel that calls another includes its file. Where a kernel's name
ends in 16, its places are 16 bits wide, and its twin for 32 bits is made of it.
"""

import re
from collections.abc import Collection
from functools import cache
from importlib import resources

__all__ = ["KERNELS", "functions", "kernel", "vectors"]

KERNELS = (
    "take",
    "row16",
    "dot16",
    "tile16",
    "block16",
    "row32",
    "dot32",
    "tile32",
    "block32",
    "move",
    "spill",
    "dense16",
    "relu_",
    "leaky_relu_",
    "tanh_",
    "sigmoid_",
    "together",
)
"""Every kernel, in the order in which a generated file has them."""

_TWINS = ("row32", "dot32", "tile32", "block32")


@cache
def _file(name: str) -> tuple[str, str]:
    """Head and body of a file: up to its last #include, and behind it."""
    content = resources.files(__name__).joinpath(name).read_text("ascii")
    end = max(found.end() for found in re.finditer(r"^#include .*\n", content, flags=re.MULTILINE))
    return content[:end], content[end:].lstrip("\n")


def vectors(macro: str) -> str:
    """Vector type and macros; `macro` is the prefix of the file's own macros."""
    return _file("vectors.h")[1].replace("NAME_", f"{macro}_")


def kernel(name: str) -> str:
    """The C text of one kernel.

    >>> print(kernel("relu_"), end="")
    static UNUSED void relu_(float *y, int n) {
        for (int i = 0; i < n; ++i) y[i] = y[i] > 0.0f ? y[i] : 0.0f;
    }
    """
    if name in _TWINS:
        stem = name.removesuffix("32")
        return kernel(f"{stem}16").replace(f"{stem}16", name).replace("uint16_t", "uint32_t")
    return _file(f"{name}.c")[1]


def _callees(name: str) -> list[str]:
    source = name.replace("32", "16") if name in _TWINS else name
    return re.findall(r'^#include "(\w+)\.c"', _file(f"{source}.c")[0], flags=re.MULTILINE)


def functions(needs: Collection[str]) -> str:
    """The kernels named, and those that they call, in the order of KERNELS."""
    found, waiting = set[str](), list(needs)
    while waiting:
        name = waiting.pop()
        if name not in KERNELS:
            raise KeyError(name)
        if name not in found:
            found.add(name)
            waiting += _callees(name)
    # Which of them are called depends on the vectors at hand, so they are marked UNUSED.
    return "\n".join(kernel(name) for name in KERNELS if name in found)
