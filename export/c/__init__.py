"""Target `c`: one portable C99 file and its header in which the network's zeros do not exist.

`graph` reads a model into a program of steps; `layers` writes each step as C, in
the form that costs least for its nonzeros; `kernels` holds what is the same in
every file; `writing` places the values and makes a file of it all. `sizes` asks a
compiler what that takes of flash and RAM.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from compress.errors import UsageError
from compress.representation import CompressedModel
from export.artifact import Artifact
from export.c.size import Sizes, sizes

if TYPE_CHECKING:
    import onnx

__all__ = ["UNROLL", "WEIGHTS", "Sizes", "emit", "sizes", "write"]

WEIGHTS = ("float", "codes")
"""Values of the option `weights`."""

UNROLL = ("none", "some", "full")
"""Values of the option `unroll`."""


def write(model: CompressedModel, *, stem: str = "model", weights: str = "float", unroll: str = "some") -> Artifact:
    """Write a compressed model as C.

    Parameters
    ----------
    model : CompressedModel
    stem : str
        Name of the files without suffix, which becomes the prefix of every public name.
    weights : str
        "float", or "codes": the shared weights stay a codebook and packed codes in flash, decoded row by row.
    unroll : str
        "none": loops over tables alone. "some": convolutions written out where the machine has 32 vector registers
        and the text stays short. "full": every weight written out, however long that gets.

    Returns
    -------
    Artifact
        `.c` and `.h`; the same model gives the same bytes.

    Raises
    ------
    UnsupportedError
        The graph holds an operator, or a use of one, that this target does not know.
    UsageError
        An option outside what is allowed, or a stem that cannot begin a C name.
    """
    return Artifact(files=emit(model.graph.model(model.weights()), stem=stem, weights=weights, unroll=unroll))


def emit(
    model: "onnx.ModelProto", *, stem: str = "model", weights: str = "float", unroll: str = "some"
) -> Mapping[str, bytes]:
    """Write any ONNX model with plain weights as C; a zero among its weights counts as pruned. As `write` else."""
    from export.c.graph.plan import plan
    from export.c.graph.reader import read
    from export.c.writing.source import source

    if weights not in WEIGHTS:
        raise UsageError(f"weights: found {weights!r}, allowed {', '.join(WEIGHTS)}")
    if unroll not in UNROLL:
        raise UsageError(f"unroll: found {unroll!r}, allowed {', '.join(UNROLL)}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", stem):
        raise UsageError(f"file name: found {stem!r}, allowed a C name: a letter, then letters, digits, underscores")
    return source(plan(read(model)), stem, weights=weights, unroll=unroll)
