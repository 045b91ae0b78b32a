"""From a compressed model to a deployable file: one target a file, all of them listed in TARGETS.

An option of a target is a keyword of its `dumps`; `Target.options` tells what it
means. A target that cannot take a model raises `UnsupportedError` and names what
it does not know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from export import onnx_dense

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One kind of deployable file.

    Parameters
    ----------
    summary : str
        One line for `--help`.
    suffixes : tuple of str
        Suffixes of the files that it writes, that of `-o` first.
    dumps : callable
        `dumps(model, *, stem, **options)` gives the contents of every file by suffix. `stem` is the name of the
        file without its suffix, for targets that name things in their output after it.
    options : mapping of str to str
        Keyword of `dumps` → what it does and which values it takes.
    """

    summary: str
    suffixes: tuple[str, ...]
    dumps: Callable[..., Mapping[str, bytes]]
    options: Mapping[str, str] = field(default_factory=dict)


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "onnx-dense": Target(
            summary="plain dense float32 ONNX: every runtime loads it, no smaller than the dense network",
            suffixes=(".onnx",),
            dumps=onnx_dense.dumps,
        ),
    }
)
"""Name of a target → how its files are written."""
