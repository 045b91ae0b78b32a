"""`bench` for the command line: find the files of a run, turn packed ones into what a runtime loads, measure."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.latency import LatencyReport, measure_latency
from bench.latency_values import BenchFile, LatencyConfig
from bench.size import SizeConfig, SizeReport, measure_size, onnx_weights
from compress.errors import CompressError
from compress.files import write_whole
from compress.observer import Observer, Silent
from export import TARGETS
from jobs.files import load_file
from jobs.full_run import RUNS

__all__ = ["bench_latency", "bench_size", "newest_run"]

_SILENT = Silent()
_SUFFIXES = (".dcz", ".onnx", ".c")


def newest_run() -> Path:
    """The run under `runs/` whose report is the newest.

    Raises
    ------
    CompressError
        There is none.
    """
    reports = sorted(RUNS.glob("*/report.json"), key=lambda path: (path.stat().st_mtime_ns, str(path)))
    if not reports:
        raise CompressError(f"{RUNS}: found no run, allowed files by name or a run made by 'compress run'")
    return reports[-1].parent


def _expand(paths: Sequence[Path], names: Sequence[str]) -> tuple[Path, ...]:
    """A run stands for those of its files that are named; every other path for itself."""
    files: list[Path] = []
    for path in paths or [newest_run()]:
        if path.is_dir():
            found = [path / name for name in names if (path / name).is_file()]
            if not found:
                raise CompressError(f"{path}: found none of {', '.join(names)}, allowed a run or a file")
            files += found
        elif not path.is_file():
            raise CompressError(f"{path}: found no such file, allowed a run, {', '.join(_SUFFIXES)}")
        elif path.suffix not in _SUFFIXES:
            raise CompressError(f"{path}: found suffix {path.suffix!r}, allowed {', '.join(_SUFFIXES)}")
        else:
            files.append(path)
    return tuple(dict.fromkeys(files))


def bench_size(paths: Sequence[Path], observer: Observer = _SILENT) -> SizeReport:
    """Weigh whole files beside the same weights in everyday formats.

    Parameters
    ----------
    paths : sequence of Path
        Runs or files; the newest run where empty. The dense weights are those of `dense.onnx` beside the first file,
        the pruned ones those of the first packed file.
    observer : Observer

    Raises
    ------
    CompressError, BenchError
        A file is missing or cannot be read, or there are no weights to compare with.
    """
    files = _expand(paths, ("model.dcz", "model.onnx", "dense.onnx", "model.c"))
    packed = next((path for path in files if path.suffix == ".dcz"), None)
    pruned: Mapping[str, NDArray[np.float32]] = load_file(packed).weights() if packed else {}
    beside = [files[0].with_name("dense.onnx"), *(path for path in files if path.suffix == ".onnx")]
    dense_file = next((path for path in beside if path.is_file()), None)
    dense: Mapping[str, NDArray[np.float32]] = onnx_weights(dense_file) if dense_file else pruned
    if sum(a.size for a in dense.values()) != sum(a.size for a in pruned.values()):
        pruned = {}
    return measure_size(
        SizeConfig(files=tuple((str(path), path) for path in files), dense=dense, pruned=pruned),
        lambda done, total, label: observer.progress("size", done, total),
    )


def bench_latency(
    paths: Sequence[Path], *, out: Path | None = None, observer: Observer = _SILENT, **settings: Any
) -> tuple[LatencyReport, Path]:
    """Time files in runtimes, and keep the raw samples.

    Parameters
    ----------
    paths : sequence of Path
        Runs or files; the newest run where empty. A packed file is measured as the dense ONNX file that it unpacks to.
    out : Path, optional
        JSON file for the samples; `latency.json` beside the first file by default.
    observer : Observer
    **settings
        Further fields of `LatencyConfig`.

    Returns
    -------
    LatencyReport, Path

    Raises
    ------
    CompressError, BenchError
        A file is missing or cannot be read, or a setting is outside what is allowed.
    """
    files = _expand(paths, ("dense.onnx", "model.onnx", "model.c"))
    destination = out or files[0].with_name("latency.json")
    with _loadable(files) as contestants:
        report = measure_latency(
            LatencyConfig(files=contestants, **settings),
            lambda done, total, label: observer.progress("latency", done, total),
        )
    write_whole(destination, (json.dumps(report.to_json(), indent=1) + "\n").encode())
    return report, destination


@contextmanager
def _loadable(files: Sequence[Path]) -> Iterator[tuple[BenchFile, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        contestants = []
        for number, path in enumerate(files):
            network = path
            if path.suffix == ".dcz":
                network = Path(folder) / f"{number}.onnx"
                network.write_bytes(TARGETS["onnx-dense"].dumps(load_file(path))[".onnx"])
            reference = path.with_name("model.onnx") if path.suffix == ".c" else None
            contestants.append(
                BenchFile(_label(path, files), network, reference if reference and reference.is_file() else None)
            )
        yield tuple(contestants)


def _label(path: Path, files: Sequence[Path]) -> str:
    """The file's name, with its directory where the name alone is not enough."""
    return path.name if sum(other.name == path.name for other in files) == 1 else str(path)
