"""`bench size`: complete files on disk beside what the dense and the pruned weights come to in everyday formats."""

import gzip
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.errors import BenchError, BenchUsageError
from bench.progress import Progress, Steps
from bench.versioned import Versioned

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["SizeConfig", "SizeReport", "SizeRow", "measure_size", "onnx_weights", "render_size"]


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
    dense : mapping of str to float32 array
        The dense network's weights in the graph's order: what every ratio is against.
    pruned : mapping of str to float32 array
        The pruned network's weights in the same order, zeros where pruned; empty where there are none.
    """

    files: tuple[tuple[str, Path], ...]
    dense: Mapping[str, NDArray[np.float32]] = field(repr=False)
    pruned: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not sum(array.size for array in self.dense.values()):
            raise BenchUsageError("dense weights: found none, allowed at least one float32 array to compare with")
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
        Dense float32 weights over these bytes.
    """

    label: str
    kind: str
    counts: str
    payload_bytes: Annotated[int, Field(alias="bytes")]
    ratio: float


@dataclass(frozen=True, slots=True)
class SizeReport(Versioned):
    """All lines, and the bytes of the complete dense float32 weights that the ratios are against."""

    KIND: ClassVar[str] = "size"

    dense_bytes: int
    weights: int
    rows: tuple[SizeRow, ...]


def _count(arrays: Mapping[str, NDArray[np.float32]]) -> int:
    return sum(int(array.size) for array in arrays.values())


def _raw(arrays: Mapping[str, NDArray[np.float32]], dtype: str) -> bytes:
    return b"".join(np.ascontiguousarray(array, dtype=dtype).tobytes() for array in arrays.values())


def onnx_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every float32 initialiser of an ONNX file's main graph, in its order.

    Raises
    ------
    BenchError
        The file cannot be read as ONNX, or holds no float32 weights.
    """
    from bench.graphs.read import read_model

    model = read_model(path)
    from onnx import TensorProto, numpy_helper

    arrays = {
        initializer.name: numpy_helper.to_array(initializer)
        for initializer in model.graph.initializer
        if initializer.data_type == TensorProto.FLOAT
    }
    if not arrays:
        raise BenchError(f"{path.name}: found no float32 initialisers, allowed a dense ONNX network")
    return arrays


def measure_size(config: SizeConfig, progress: Progress | None = None) -> SizeReport:
    """Weigh the files, and the raw weights in float32, float16 and through three general compressors.

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
    dense = _raw(config.dense, "<f4")
    jobs: list[tuple[str, str, Callable[[], int], Callable[[], str]]] = [
        ("dense float32", "weights", partial(len, dense), _alone),
        ("dense float16", "weights", partial(len, _raw(config.dense, "<f2")), _alone),
    ]
    variants = {"dense": dense, "pruned": _raw(config.pruned, "<f4")}
    for name, data in variants.items():
        for tool, compressor in _COMPRESSORS.items() if data else ():
            jobs.append((f"{name} float32, {tool}", "weights", partial(_compressed_bytes, compressor, data), _alone))
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

    table = Table(title=f"Size, against {report.dense_bytes:,} B of dense float32 weights")
    table.add_column("what")
    table.add_column("counts")
    table.add_column("bytes", justify="right")
    table.add_column("ratio", justify="right")
    for row in report.rows:
        style = "bold" if row.kind == "file" else None
        table.add_row(row.label, row.counts, f"{row.payload_bytes:,}", f"{row.ratio:.2f}×", style=style)
    return table
