"""`bench size`: complete files on disk beside what the dense and the pruned weights come to in everyday formats."""

import gzip
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.errors import BenchError, BenchUsageError
from bench.progress import Progress, Steps
from bench.versioned import Versioned

if TYPE_CHECKING:
    import onnx
    from rich.table import Table

__all__ = [
    "SizeConfig",
    "SizeReport",
    "SizeRow",
    "Weights",
    "measure_size",
    "model_weights",
    "onnx_weights",
    "render_size",
]

Weights = Mapping[str, NDArray[Any]]
"""Arrays of the types that weights have; four-bit integers as ml_dtypes' types, an element a byte."""

_FLOATS = ("float32", "float16", "bfloat16")
_FOUR_BITS = ("int4", "uint4")
_TYPES = (*_FLOATS, "int8", "uint8", *_FOUR_BITS)


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=19).compress(data)


_COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {
        "gzip -9": lambda data: gzip.compress(data, compresslevel=9, mtime=0),
        "xz -9": lambda data: lzma.compress(data, preset=9),
        "zstd -19": _zstd,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeConfig:
    """What to measure.

    Parameters
    ----------
    files : tuple of (str, Path)
        Label and path of every complete file, in the order of the table.
    dense : Weights
        The dense network's weights in the graph's order: what every ratio is against.
    pruned : Weights
        The pruned network's weights in the same order, zeros where pruned; empty where there are none.
    """

    files: tuple[tuple[str, Path], ...]
    dense: Weights = field(repr=False)
    pruned: Weights = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name, array in (*self.dense.items(), *self.pruned.items()):
            if array.dtype.name not in _TYPES:
                raise BenchUsageError(f"{name}: found elements of {array.dtype}, allowed {', '.join(_TYPES)}")
        if not _count(self.dense):
            raise BenchUsageError("dense weights: found none, allowed at least one array to compare with")
        if self.pruned:
            found, allowed = _count(self.pruned), _count(self.dense)
            if found != allowed:
                raise BenchUsageError(f"pruned weights: found {found} values, allowed the dense network's {allowed}")


@dataclass(frozen=True, slots=True)
class SizeRow:
    """One line of the table.

    Parameters
    ----------
    label : str
    kind : str
        "weights": the arrays alone; "file": all that is on disk.
    counts : str
        What the bytes are, in words.
    payload_bytes : int
    ratio : float
        Dense weights over these bytes.
    """

    label: str
    kind: str
    counts: str
    payload_bytes: Annotated[int, Field(alias="bytes")]
    ratio: float


@dataclass(frozen=True, slots=True)
class SizeReport(Versioned):
    """All lines, and the bytes of the complete dense weights, in their own types, that the ratios are against."""

    KIND: ClassVar[str] = "size"

    dense_bytes: int
    weights: int
    rows: tuple[SizeRow, ...]

    @property
    def against(self) -> str:
        """What the ratios are against; weights of four bytes each are all float32, as no other type takes as many."""
        return "dense float32 weights" if self.dense_bytes == 4 * self.weights else "dense weights"


def _count(arrays: Weights) -> int:
    return sum(int(array.size) for array in arrays.values())


def _raw(arrays: Weights, *, halved: bool = False) -> bytes:
    """All elements as a file holds them: little-endian, two four-bit integers to a byte."""
    return b"".join(_elements(array, halved) for array in arrays.values())


def _elements(array: NDArray[Any], halved: bool) -> bytes:
    flat = array.reshape(-1)
    if halved and flat.dtype.name in _FLOATS:
        flat = flat.astype(np.float16)
    if flat.dtype.name in _FOUR_BITS:
        nibbles = np.zeros(flat.size + flat.size % 2, np.uint8)
        nibbles[: flat.size] = flat.astype(np.int8).view(np.uint8) & 15
        return (nibbles[::2] | nibbles[1::2] << 4).tobytes()
    unsigned = flat.view(f"u{flat.itemsize}")
    return unsigned.astype(unsigned.dtype.newbyteorder("<")).tobytes()


def _kind(arrays: Weights) -> str:
    """What the labels call the weights: float32 where all of them are."""
    return "float32" if {array.dtype.name for array in arrays.values()} == {"float32"} else "weights"


def onnx_weights(path: Path) -> dict[str, NDArray[Any]]:
    """The weights of an ONNX file; see `model_weights`.

    Raises
    ------
    BenchError
        The file cannot be read as ONNX, or holds no weights.
    """
    from bench.graphs.read import read_model

    return model_weights(read_model(path), path.name)


def model_weights(model: "onnx.ModelProto", label: str) -> dict[str, NDArray[Any]]:
    """Every initialiser of a model's main graph of a type that weights have, in its order.

    Raises
    ------
    BenchError
        There is none; the message begins with `label`.
    """
    from onnx import helper, numpy_helper

    types = {helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in _TYPES}
    stored = [initializer for initializer in model.graph.initializer if initializer.data_type in types]
    if not stored:
        raise BenchError(f"{label}: found no initialisers of {', '.join(_TYPES)}, allowed a dense ONNX network")
    return {initializer.name: numpy_helper.to_array(initializer) for initializer in stored}


def measure_size(config: SizeConfig, progress: Progress | None = None) -> SizeReport:
    """Weigh the files, and the raw weights as they are, with floats in float16 and through three general compressors.

    Parameters
    ----------
    config : SizeConfig
    progress : callable, optional
        Called with (done, total, label) before every line and once at the end.

    Returns
    -------
    SizeReport
        The raw weights are the little-endian arrays one after the other, without names or shapes, so the general
        compressors are given an advantage that no real file has; ours are whole files.

    Raises
    ------
    BenchError
        A file that is not there or cannot be read.
    """
    dense, kind = _raw(config.dense), _kind(config.dense)
    halved = "dense float16" if kind == "float32" else "dense weights, floats as float16"
    jobs: list[tuple[str, str, Callable[[], int], Callable[[], str]]] = [
        (f"dense {kind}", "weights", partial(len, dense), _alone),
        (halved, "weights", partial(len, _raw(config.dense, halved=True)), _alone),
    ]
    variants = {f"dense {kind}": dense, f"pruned {_kind(config.pruned)}": _raw(config.pruned)}
    for name, data in variants.items():
        for tool, compressor in _COMPRESSORS.items() if data else ():
            jobs.append((f"{name}, {tool}", "weights", partial(_compressed_bytes, compressor, data), _alone))
    jobs += [(label, "file", partial(_file_bytes, path), partial(_file_kind, path)) for label, path in config.files]
    steps, rows = Steps(len(jobs), progress), []
    for label, kind, weigh, describe in jobs:
        steps.take(label)
        size = weigh()
        if size == 0:
            raise BenchError(f"{label}: found an empty file, allowed one with content")
        rows.append(SizeRow(label, kind, describe(), size, len(dense) / size))
    steps.take("done")
    return SizeReport(len(dense), _count(config.dense), tuple(rows))


def _compressed_bytes(compressor: Callable[[bytes], bytes], data: bytes) -> int:
    return len(compressor(data))


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise BenchError(f"{path}: found no readable file ({error.strerror}), allowed an existing one") from error


def _alone() -> str:
    return "weights alone"


def _file_kind(path: Path) -> str:
    """What a whole file is, in words."""
    if path.suffix == ".onnx":
        from bench.graphs.read import decodes_itself, read_model

        coded = decodes_itself(read_model(path))
        return "whole file: ONNX that decodes its weights at load" if coded else "whole file: ONNX, weights as they are"
    kinds = {".dcz": "whole file: packed, to be unpacked or exported", ".c": "whole file: C source, not yet compiled"}
    return kinds.get(path.suffix, "whole file")


def render_size(report: SizeReport) -> "Table":
    """The report as a rich table."""
    from rich.table import Table

    table = Table(title=f"Size, against {report.dense_bytes:,} B of {report.against}")
    table.add_column("what")
    table.add_column("counts")
    table.add_column("bytes", justify="right")
    table.add_column("ratio", justify="right")
    for row in report.rows:
        style = "bold" if row.kind == "file" else None
        table.add_row(row.label, row.counts, f"{row.payload_bytes:,}", f"{row.ratio:.2f}×", style=style)
    return table
