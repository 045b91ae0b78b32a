"""`bench` for the command line: find the files of a run, turn packed ones into what a runtime loads, measure."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bench.energy import EnergyReport, measure_energy
from bench.graphs.read import decodes_itself, read_model
from bench.latency.measure import measure_latency
from bench.latency.values import DEFAULT_RUNTIMES, BenchFile, LatencyConfig, LatencyReport
from bench.layers.measure import layers_of_onnx, measure_layers
from bench.layers.values import LayersConfig, LayersReport
from bench.report.page import render_report
from bench.report.results import READERS, load_results
from bench.runtimes import RUNTIMES
from bench.size import SizeConfig, SizeReport, Weights, measure_size, model_weights
from compress.errors import CompressError
from compress.files import write_whole
from compress.graph.fold import fold
from compress.observer import Observer, Silent
from compress.packed import container
from compress.representation import CompressedModel
from deep_compress.jobs.full_run import RUNS
from deep_compress.jobs.run_report import RunReport
from export import TARGETS

__all__ = ["bench_energy", "bench_latency", "bench_layers", "bench_report", "bench_size", "newest_run"]

_SILENT = Silent()
_READERS = MappingProxyType({"run": lambda values: RunReport.from_json(values).figures(), **READERS})
"""What `bench report` reads: its own kinds, and a run's report, which is ours."""

_SUFFIXES = (".dcz", ".onnx", ".c")
_RUNNABLE = ("dense.onnx", "model.onnx", "model.c")


def newest_run() -> Path:
    """The run under `runs/` whose report is the newest, a search's full run among them.

    Raises
    ------
    CompressError
        There is none.
    """
    found = [*RUNS.glob("*/report.json"), *RUNS.glob("*/run/report.json")]
    reports = sorted(found, key=lambda path: (path.stat().st_mtime_ns, str(path)))
    if not reports:
        raise CompressError(f"{RUNS}: found no run, allowed files by name or a run made by 'compress run'")
    return reports[-1].parent


def _expand(paths: Sequence[Path], names: Sequence[str]) -> tuple[Path, ...]:
    """A run stands for those of its files that are named, as far as it has them; every other path for itself."""
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


def _taken(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a run's files, those with a suffix that one of the chosen runtimes takes; all where none does."""
    device = settings.get("device", "cpu")
    chosen = tuple(settings.get("runtimes", ())) or DEFAULT_RUNTIMES.get(device, ())
    if chosen == ("all",):
        chosen = tuple(name for name, runtime in RUNTIMES.items() if device in runtime.devices)
    suffixes = {suffix for name in chosen if name in RUNTIMES for suffix in RUNTIMES[name].suffixes}
    return tuple(name for name in _RUNNABLE if Path(name).suffix in suffixes) or _RUNNABLE


def _stored_weights(path: Path, packed: Weights) -> Weights:
    """The weights of an ONNX file; those that it decodes to, where it decodes itself, not dequantised.

    A decoder gives bfloat16 as float32: if the packed file is of the same network, its weights are taken.
    """
    model = read_model(path)
    if not decodes_itself(model):
        return model_weights(model, path.name)
    decoded = model_weights(fold(model, kept={"DequantizeLinear"}), path.name)
    widened = any(array.dtype.name == "bfloat16" for array in packed.values())
    return packed if widened and _shapes(packed) == _shapes(decoded) else decoded


def _shapes(weights: Weights) -> list[tuple[int, ...]]:
    return sorted(array.shape for array in weights.values())


def _packed_weights(model: CompressedModel) -> Weights:
    """The weights of a packed file, four-bit integers as a type of their own."""
    return {tensor.name: tensor.dense().astype(np.dtype(tensor.element), copy=False) for tensor in model.tensors}


def bench_size(paths: Sequence[Path], observer: Observer = _SILENT) -> SizeReport:
    """Weigh whole files beside the same weights in everyday formats.

    Parameters
    ----------
    paths : sequence of Path
        Runs or files; the newest run where empty. The dense weights are those of `dense.onnx` beside the first file,
        or of the first ONNX file, the pruned ones those of the first packed file. Within a run, `size.json` keeps the
        result.
    observer : Observer

    Raises
    ------
    CompressError, BenchError
        A file is missing or cannot be read, or there are no weights to compare with.
    """
    files = _expand(paths, ("model.dcz", "model.onnx", "dense.onnx", "model.c"))
    packed = next((path for path in files if path.suffix == ".dcz"), None)
    pruned = _packed_weights(container.load(packed)) if packed else {}
    beside = [files[0].with_name("dense.onnx"), *(path for path in files if path.suffix == ".onnx")]
    dense_file = next((path for path in beside if path.is_file()), None)
    dense = _stored_weights(dense_file, pruned) if dense_file else pruned
    if sum(a.size for a in dense.values()) != sum(a.size for a in pruned.values()):
        pruned = {}
    report = measure_size(
        SizeConfig(files=tuple((_label(path, files), path) for path in files), dense=dense, pruned=pruned),
        lambda done, total, label: observer.progress("size", done, total),
    )
    if (files[0].parent / "report.json").is_file():
        _keep(files[0].with_name("size.json"), report.to_json())
    return report


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
    files = _expand(paths, _taken(settings))
    destination = out or files[0].with_name("latency.json")
    with _loadable(files) as contestants:
        report = measure_latency(
            LatencyConfig(files=contestants, **settings),
            lambda done, total, label: observer.progress("latency", done, total),
        )
    _keep(destination, report.to_json())
    return report, destination


def bench_energy(
    paths: Sequence[Path],
    *,
    seconds: float,
    out: Path | None = None,
    observer: Observer = _SILENT,
    **settings: Any,
) -> tuple[EnergyReport, Path]:
    """Measure the energy of an inference by the machine's own counter; see `bench.energy.measure_energy`.

    The parameters are those of `bench_latency`, and the seconds that every contestant runs.

    Raises
    ------
    CompressError, BenchError
        As `bench_latency`; also where no counter can be read, or the machine is busy.
    """
    files = _expand(paths, _taken(settings))
    destination = out or files[0].with_name("energy.json")
    with _loadable(files) as contestants:
        report = measure_energy(
            LatencyConfig(files=contestants, **settings),
            seconds=seconds,
            progress=lambda done, total, label: observer.progress("energy", done, total),
        )
    _keep(destination, report.to_json())
    return report, destination


def bench_layers(
    paths: Sequence[Path], *, out: Path, observer: Observer = _SILENT, **settings: Any
) -> tuple[LayersReport, Path]:
    """Time fully connected layers dense and as CSR; see `bench.layers.measure.measure_layers`.

    Parameters
    ----------
    paths : sequence of Path
        Networks whose own layers are taken; the paper's AlexNet and VGG-16 layers where empty.
    out : Path
        JSON file for the samples.
    observer : Observer
    **settings
        Further fields of `LayersConfig`.

    Raises
    ------
    CompressError, BenchError
        A file cannot be read or has no such layer, or a setting is outside what is allowed.
    """
    if paths:
        with _loadable(_expand(paths, ("model.dcz",))) as contestants:
            layers = tuple(layer for item in contestants for layer in layers_of_onnx(item.path))
        settings["layers"] = layers
    report = measure_layers(
        LayersConfig(**settings), lambda done, total, label: observer.progress("layers", done, total)
    )
    _keep(out, report.to_json())
    return report, out


def bench_report(paths: Sequence[Path], out: Path | None = None) -> Path:
    """Join reports and measurements into one HTML page.

    Parameters
    ----------
    paths : sequence of Path
        Runs, or JSON files of `bench`; the newest run where empty.
    out : Path, optional
        `report.html` in the first run by default.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    CompressError, BenchError
        A file is missing or none of ours, or the page cannot be written.
    """
    sources = list(paths) or [newest_run()]
    destination = out or (sources[0] if sources[0].is_dir() else sources[0].parent) / "report.html"
    write_whole(destination, render_report(load_results(sources, _READERS)).encode())
    return destination


def _keep(path: Path, values: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps(values, indent=1) + "\n").encode())


@contextmanager
def _loadable(files: Sequence[Path]) -> Iterator[tuple[BenchFile, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        contestants = []
        for number, path in enumerate(files):
            network = path
            if path.suffix == ".dcz":
                network = Path(folder) / f"{number}.onnx"
                network.write_bytes(TARGETS["onnx-dense"].dumps(container.load(path))[".onnx"])
            reference = path.with_name("model.onnx") if path.suffix == ".c" else None
            contestants.append(
                BenchFile(_label(path, files), network, reference if reference and reference.is_file() else None)
            )
        yield tuple(contestants)


def _label(path: Path, files: Sequence[Path]) -> str:
    """The file's name, with its directory where the name alone is not enough."""
    return path.name if sum(other.name == path.name for other in files) == 1 else str(path)
