"""From a compressed model to a deployable file: one target a file, all of them listed in TARGETS.

An option of a target is a keyword of its `dumps`; `Target.options` tells what it
means. A target that cannot take a model raises `UnsupportedError` and names what
it does not know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from export import c
from export.onnx import coded as onnx_coded
from export.onnx import dense as onnx_dense
from export.onnx import fixed as onnx_fixed
from export.onnx import memory as onnx_memory

__all__ = ["TARGETS", "Option", "Target"]


def _nothing(*_: object, **__: object) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a target, as text sees it.

    Parameters
    ----------
    summary : str
        What it does.
    kind : type
        Of the value that `dumps` takes: bool (yes or no), int (a size in bytes), or str (one of `choices`).
    choices : sequence of str
    """

    summary: str
    kind: type = str
    choices: Sequence[str] = ()


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
    options : mapping of str to Option
        By keyword of `dumps`.
    remarks : callable
        `remarks(model, **options)` gives what a user should know about the files that `dumps` writes, a line each.
    proto : callable or None
        `proto(model, *, stem, **options)`: as `dumps`, of an ONNX ModelProto with plain weights; None for a target that
        takes compressed models alone.
    """

    summary: str
    suffixes: tuple[str, ...]
    dumps: Callable[..., Mapping[str, bytes]]
    options: Mapping[str, Option] = field(default_factory=dict)
    remarks: Callable[..., tuple[str, ...]] = _nothing
    proto: Callable[..., Mapping[str, bytes]] | None = None


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "c": Target(
            summary="one portable C99 file and header specialised to the nonzeros: fast, and fit for a microcontroller",
            suffixes=(".c", ".h"),
            dumps=c.dumps,
            proto=c.emit,
            options={
                "weights": Option(
                    summary="as they are, or as codebook and packed codes, decoded on the fly: the smallest image",
                    choices=c.WEIGHTS,
                ),
                "unroll": Option(
                    summary="no weight written out as code, those of convolutions where it pays, or every one",
                    choices=c.UNROLL,
                ),
            },
        ),
        "onnx": Target(
            summary="ONNX with the weights Huffman-coded and decoded by standard operators at load: small, and stock",
            suffixes=(".onnx",),
            dumps=onnx_coded.dumps,
            remarks=onnx_memory.remarks,
            options={
                "functions": Option(
                    summary="allow model-local functions, which keep the decoder of large networks short", kind=bool
                ),
                "max_load_memory": Option(
                    summary="memory that decoding may take at load (40MB); layers that go past it get fixed widths",
                    kind=int,
                ),
            },
        ),
        "onnx-dense": Target(
            summary="plain dense float32 ONNX: every runtime loads it, no smaller than the dense network",
            suffixes=(".onnx",),
            dumps=onnx_dense.dumps,
        ),
        "onnx-fixed": Target(
            summary="as onnx, with fixed-width codes instead of Huffman's: larger, and the fewest operators",
            suffixes=(".onnx",),
            dumps=onnx_fixed.dumps,
        ),
    }
)
"""Name of a target → how its files are written."""
