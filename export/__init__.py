"""From a compressed model to a deployable file: one target a file, all of them listed in TARGETS.

An option of a target is a keyword of its `write`; `Target.options` tells what it
means. A target that cannot take a model raises `UnsupportedError` and names what
it does not know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from compress.representation import CompressedModel
from export import c, safetensors_file
from export.artifact import Artifact
from export.onnx import coded, dense

__all__ = ["TARGETS", "Artifact", "Option", "Target"]


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
    write : callable
        `write(model, *, stem, **options)` gives an `Artifact`. `stem` is the name of the file without its suffix, for
        targets that name things in their output after it.
    options : mapping of str to Option
        By keyword of `write`.
    coded : bool
        The file is small because the codes are in it: of a model that has none, it is a dense file by another name.
    """

    summary: str
    suffixes: tuple[str, ...]
    write: Callable[..., Artifact]
    options: Mapping[str, Option] = field(default_factory=dict)
    coded: bool = False

    def dumps(self, model: CompressedModel, *, stem: str = "model", **options: object) -> Mapping[str, bytes]:
        """The contents of the files by suffix."""
        return self.write(model, stem=stem, **options).files


_SHORT_NAMES = Option(
    summary="give inner values the shortest names there are; inputs and outputs keep theirs", kind=bool
)

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "c": Target(
            summary="one portable C99 file and header specialised to the nonzeros: fast, and fit for a microcontroller",
            suffixes=(".c", ".h"),
            write=c.write,
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
            write=coded.write,
            coded=True,
            options={
                "functions": Option(
                    summary="allow model-local functions, which keep the decoder of large networks short", kind=bool
                ),
                "max_load_memory": Option(
                    summary="memory that decoding may take at load (40MB); layers that go past it get fixed widths",
                    kind=int,
                ),
                "short_names": _SHORT_NAMES,
            },
        ),
        "onnx-dense": Target(
            summary="plain dense ONNX: every runtime loads it, no smaller than the dense network",
            suffixes=(".onnx",),
            write=dense.write,
        ),
        "onnx-fixed": Target(
            summary="as onnx, with fixed-width codes instead of Huffman's: larger, and the fewest operators",
            suffixes=(".onnx",),
            write=coded.write_fixed,
            coded=True,
            options={"short_names": _SHORT_NAMES},
        ),
        "safetensors": Target(
            summary="the dense weights alone, each in its element type: no smaller than the dense network",
            suffixes=(".safetensors",),
            write=safetensors_file.write,
        ),
    }
)
"""Name of a target → how its files are written."""
