"""The whole job above the rooms: compress, pack, read back, export, measure, report; a sweep runs it as a function."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.accuracy import measure_accuracy
from compress.datasets import normalise
from compress.errors import CompressError
from compress.files import staged_directory
from compress.graph import Graph
from compress.observer import Observer, Silent
from compress.output_error import worst_error
from compress.packed import container
from compress.recipe.recipe import Recipe
from compress.report.layers import coding_bytes, layer_rows
from compress.training.checkpoint import dump_weights
from deep_compress.jobs.files import read_file
from deep_compress.jobs.prepare import prepare
from deep_compress.jobs.run_report import FileAccuracy, HeldOut, RunReport, TestAccuracy, WrittenTarget
from deep_compress.jobs.run_targets import check_targets, write_targets

if TYPE_CHECKING:
    import torch

    from compress.front_ends.compression import Compression

__all__ = ["RUNS", "RunResult", "run"]

RUNS = Path("runs")
"""Where runs go that are not told another place."""

_SILENT = Silent()

_TOLERANCE = 1e-5
"""Of the largest output, between onnxruntime and torch on equal weights: they add in another order, and float32 has
steps of 1.2e-7; a wrong weight shows far above it."""

_EVALUATION_BATCH = 1000
"""Test images by which the two are compared: what one call takes at ease."""

_VERSIONS = ("deep-compress", "torch", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class RunResult:
    """Where a run's files are, and its report as it stands in `report.json`."""

    directory: Path
    report: RunReport


def run(
    recipe: Recipe,
    *,
    directory: Path | None = None,
    data_dir: Path | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    targets: Sequence[str] | None = None,
    force: bool = False,
    observer: Observer = _SILENT,
) -> RunResult:
    """Run a recipe from raw data to deployable files.

    Parameters
    ----------
    recipe : Recipe
    directory : Path, optional
        Where the files go; `runs/<name of the run>` by default. It appears when everything is done, or not at all.
    data_dir : Path, optional
        Directory of the data set.
    checkpoint : Path, optional
        safetensors file of a trained network, in place of dense training.
    device : str
        auto, cpu or cuda: where it is trained.
    targets : sequence of str, optional
        What is written beside the packed file: one of the ONNX targets, from whose file accuracy is read, and others;
        `deep_compress.jobs.run_targets.DEFAULT_TARGETS` by default, without C where very many weights are left.
    force : bool
        Replace an earlier run in the same place.
    observer : Observer

    Returns
    -------
    RunResult

    Raises
    ------
    CompressError
        One of its kinds: bad data, a bad checkpoint, a place that cannot be written, training that diverges, or files
        that are not what was packed.
    """
    from compress.front_ends.module import compress_network

    destination = directory or RUNS / recipe.run_name()
    start = time.perf_counter()
    if targets is not None:
        check_targets(targets)
    with staged_directory(destination, force=force, marker="report.json") as stage:
        prepared = prepare(recipe, data_dir=data_dir, checkpoint=checkpoint, device=device)
        dataset, network, graph = prepared.dataset, prepared.network, prepared.graph
        begin = prepared.start()
        loaded = time.perf_counter()
        observer.note("train", _where(prepared.device))
        compression = compress_network(
            begin.module,
            recipe,
            train=begin.train,
            held_out=begin.held_out,
            graph=graph,
            pretrained=prepared.weights is not None,
            observer=observer,
        )
        packed = time.perf_counter()
        content = container.dumps(compression.model)
        (stage / "model.dcz").write_bytes(content)
        reloaded = container.check_round_trip(read_file(stage / "model.dcz"), compression.model)
        stages = {"load data": loaded - start, **{record.stage: record.seconds for record in compression.stages}}
        stages["pack and read back"] = time.perf_counter() - packed
        exported = time.perf_counter()
        written = write_targets(reloaded, targets, stage, observer)
        _write_dense(stage, graph, compression.dense)
        inputs, labels = normalise(dataset, dataset.test.images, network.input_shape), dataset.test.labels
        difference = _agreement(stage / "model.onnx", compression, inputs[:_EVALUATION_BATCH])
        stages["export"] = time.perf_counter() - exported
        measured = time.perf_counter()
        accuracy = TestAccuracy(
            dense=_accuracy(stage / "dense.onnx", inputs, labels, "test dense", observer),
            file=_accuracy(stage / "model.onnx", inputs, labels, "test file", observer),
        )
        stages["test"] = time.perf_counter() - measured
        files = {path.name: path.stat().st_size for path in sorted(stage.iterdir())}
        report = _report(recipe, compression, content, accuracy, difference, written, files)
        plotted = time.perf_counter()
        _plot(stage / "report.png", compression, report)
        stages["plot"] = time.perf_counter() - plotted
        report = replace(report, seconds={**stages, "whole run": time.perf_counter() - start})
        (stage / "recipe.yaml").write_text(recipe.to_yaml(), "utf-8")
        (stage / "report.json").write_text(json.dumps(report.to_json(), indent=1) + "\n", "utf-8")
    return RunResult(destination, report)


def _where(device: "torch.device") -> str:
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"torch {torch.__version__} on {name}, {torch.get_num_threads()} threads"


def _write_dense(stage: Path, graph: Graph, weights: Mapping[str, NDArray[np.float32]]) -> None:
    (stage / "dense.safetensors").write_bytes(dump_weights(weights))
    (stage / "dense.onnx").write_bytes(graph.model(weights).SerializeToString(deterministic=True))


def _agreement(path: Path, compression: "Compression", inputs: NDArray[np.float32]) -> float:
    """Largest difference of the ONNX file in onnxruntime from the torch network, of the largest output."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: inputs})[0]
    module = compression.module.cpu().eval()
    with torch.no_grad():
        expected = module(torch.from_numpy(inputs)).numpy()
    difference = worst_error(expected, found)
    if not difference <= _TOLERANCE:
        raise CompressError(f"{path.name}: differs from the torch network by {difference:.2g}, allowed {_TOLERANCE:g}")
    return difference


def _accuracy(
    path: Path, inputs: NDArray[np.float32], labels: NDArray[np.int64], stage: str, observer: Observer
) -> FileAccuracy:
    result = measure_accuracy(path, inputs, labels, progress=lambda done, total: observer.progress(stage, done, total))
    observer.note(stage, f"{path.name} in onnxruntime: {result.correct}/{result.total} = {result.percent:.2f} %")
    return FileAccuracy.of(result)


def _report(
    recipe: Recipe,
    compression: "Compression",
    content: bytes,
    accuracy: TestAccuracy,
    difference: float,
    written: Mapping[str, WrittenTarget],
    files: Mapping[str, int],
) -> RunReport:
    account = container.account(content)
    dense_bytes = 4 * sum(array.size for array in compression.dense.values())
    return RunReport(
        recipe=recipe.flat(),
        sparsity=_sparsity(compression),
        dense_bytes=dense_bytes,
        file_bytes=len(content),
        ratio=dense_bytes / len(content),
        coding=coding_bytes(account),
        account=account,
        layers=layer_rows(account),
        test=accuracy,
        held_out={
            record.stage: HeldOut(loss=record.held_out_loss, percent=record.held_out_accuracy)
            for record in compression.stages
        },
        onnx_difference=difference,
        history=tuple(compression.history),
        versions={"python": platform.python_version(), **{name: metadata.version(name) for name in _VERSIONS}},
        machine=f"{platform.system()} {platform.machine()}",
        targets=written,
        files=files,
        seconds={},
    )


def _sparsity(compression: "Compression") -> float:
    """Fraction of the dense network's weights that are gone: pruned, or removed with a whole filter."""
    coded = compression.model.coded
    size = sum(compression.dense[tensor.name].size for tensor in coded)
    return 1 - sum(tensor.nnz for tensor in coded) / size if size else 0.0


def _plot(path: Path, compression: "Compression", report: RunReport) -> None:
    from compress.report.plots import plot_run

    parts = {tensor.name: tensor.parts() for tensor in report.account.tensors}
    layers = [
        (
            tensor.name,
            compression.dense[tensor.name],
            tensor.values()[0][tensor.codes],
            tensor.values()[0],
            parts[tensor.name],
        )
        for tensor in compression.model.coded
    ]
    title = (
        f"{report.recipe['network']} on {report.recipe['data']}: sparsity {report.sparsity:.4g}, "
        f"{report.file_bytes:,} B ({report.ratio:.1f}×), {report.test.file.percent:.2f} % on the test set"
    )
    plot_run(path, title, compression.history, layers)
