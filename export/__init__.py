"""From a compressed model to a deployable file: one target a file, all of them listed in TARGETS.

An option of a target is a keyword of its `dumps`; `Target.options` tells what it
means. A target that cannot take a model raises `UnsupportedError` and names what
it does not know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from export import c, onnx_coded, onnx_dense, onnx_fixed

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
        "c": Target(
            summary="one portable C99 file and header specialised to the nonzeros: fast, and fit for a microcontroller",
            suffixes=(".c", ".h"),
            dumps=c.dumps,
            options={
                "weights": "float, or codes: codebook and packed codes stay in flash and are decoded on the fly",
                "unroll": "none: tables alone; some: convolutions written out where it pays; full: every weight",
            },
        ),
        "onnx": Target(
            summary="ONNX with the weights Huffman-coded and decoded by standard operators at load: small, and stock",
            suffixes=(".onnx",),
            dumps=onnx_coded.dumps,
            options={
                "functions": "yes or no: allow model-local functions, which keep the decoder of large networks short",
                "max_load_memory": "bytes that decoding may take at load; by default 8 times the dense weights",
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
