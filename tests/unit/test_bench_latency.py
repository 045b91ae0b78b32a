"""`bench latency` on small networks: what is measured, what is refused, and that every reason is given."""

import json
import os
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_models import onnx_model
from rich.console import Console

import bench.latency.loading
from bench.errors import BenchError, BenchUsageError
from bench.latency.contestant import Contestant
from bench.latency.measure import measure_latency
from bench.latency.tables import render_latency
from bench.latency.values import BenchFile, LatencyConfig
from bench.runtimes import RUNTIMES
from bench.runtimes.base import missing_cuda

FAST = {"warm_up": 2, "iterations": 6, "rounds": 3, "max_seconds": 5.0}


def write_network(path: Path, *, scale: float = 1.0, batch: int | str = "batch", activation: str = "Relu") -> Path:
    weight = (np.arange(20, dtype=np.float32).reshape(4, 5) - 9) * scale
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node(activation, ["h"], ["y"]),
    ]
    stored = {"w": weight, "b": np.ones(4, dtype=np.float32)}
    onnx.save(onnx_model(nodes, stored, inputs={"x": [batch, 5]}, outputs={"y": [batch, 4]}), path)
    return path


@pytest.fixture
def network(tmp_path: Path) -> BenchFile:
    return BenchFile("small", write_network(tmp_path / "small.onnx"))


def test_two_runtimes_are_measured_side_by_side(network: BenchFile) -> None:
    steps: list[tuple[int, int, str]] = []
    config = LatencyConfig(files=(network,), runtimes=("torch", "onnxruntime"), batch_sizes=(1, 3), **FAST)
    report = measure_latency(config, lambda *step: steps.append(step))
    assert [(m.runtime, m.batch_size, m.status) for m in report.measurements] == [
        ("torch", 1, "measured"),
        ("onnxruntime", 1, "measured"),
        ("torch", 3, "measured"),
        ("onnxruntime", 3, "measured"),
    ]
    for measurement in report.measurements:
        assert measurement.latency_ns is not None
        assert measurement.latency_ns.shape == (3, 2)
        assert measurement.summary is not None
        assert measurement.summary.samples == 6
        assert measurement.summary.p50_ns == np.percentile(measurement.latency_ns, 50)
        assert measurement.error is not None
        assert measurement.error <= 1e-6
        assert measurement.warm_up_done == 2
        assert measurement.peak_bytes is not None
        assert measurement.interpreter_bytes is not None
        assert measurement.peak_bytes > measurement.interpreter_bytes
        assert measurement.load_ns is not None
        assert measurement.load_ns > 0
    assert [done for done, _, _ in steps] == list(range(11))
    assert steps[-1] == (10, 10, "done")


def test_the_report_is_json_with_raw_samples_and_no_place_of_this_machine(network: BenchFile, tmp_path: Path) -> None:
    config = LatencyConfig(files=(network,), runtimes=("onnxruntime",), batch_sizes=(1,), **FAST)
    report = measure_latency(config)
    text = json.dumps(report.to_json())
    (measurement,) = json.loads(text)["measurements"]
    assert np.asarray(measurement["latency_ns"]).shape == (3, 2)
    assert measurement["summary"]["samples"] == 6
    assert str(tmp_path) not in text
    assert json.loads(text)["settings"]["threads"] == 1
    assert json.loads(text)["environment"]["packages"]["onnxruntime"]


def test_the_tables_show_every_contestant_and_every_reason(network: BenchFile, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(RUNTIMES["torch"], available=lambda device: "found no module torch")
    monkeypatch.setattr(bench.latency.loading, "RUNTIMES", MappingProxyType({**RUNTIMES, "torch": absent}))
    config = LatencyConfig(files=(network,), runtimes=("torch", "onnxruntime"), batch_sizes=(1,), **FAST)
    report = measure_latency(config)
    assert [m.status for m in report.measurements] == ["unavailable", "measured"]
    console = Console(width=200, record=True, file=StringIO())
    console.print(render_latency(report))
    text = console.export_text()
    assert "small in torch, batch 1: unavailable: found no module torch" in text
    assert "onnxruntime" in text


def test_a_time_does_not_count_where_the_output_differs(network: BenchFile, tmp_path: Path) -> None:
    other = replace(network, reference=write_network(tmp_path / "other.onnx", scale=1.01))
    config = LatencyConfig(files=(other,), runtimes=("onnxruntime",), batch_sizes=(1,), **FAST)
    (measurement,) = measure_latency(config).measurements
    assert measurement.status == "disagrees"
    assert measurement.latency_ns is None
    assert measurement.reason is not None
    assert re.fullmatch(
        r"output: found a difference of 0\.0\d+ from the reference, allowed 0\.0001", measurement.reason
    )


def test_an_unknown_operator_fails_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    item = BenchFile("soft", write_network(tmp_path / "soft.onnx", activation="Softplus"))
    config = LatencyConfig(files=(item,), runtimes=("torch", "onnxruntime"), batch_sizes=(1,), **FAST)
    failed, measured = measure_latency(config).measurements
    assert (failed.status, measured.status) == ("failed", "measured")
    assert failed.reason is not None
    assert failed.reason.startswith("operator: found Softplus, allowed Add, AveragePool, ")


def test_a_fixed_batch_size_is_kept(tmp_path: Path) -> None:
    item = BenchFile("one", write_network(tmp_path / "one.onnx", batch=1))
    config = LatencyConfig(files=(item,), runtimes=("onnxruntime",), batch_sizes=(1, 64), **FAST)
    one, many = measure_latency(config).measurements
    assert one.status == "measured"
    assert (many.status, many.reason) == ("failed", "one.onnx: found a fixed batch size of 1, allowed 64")


def test_given_inputs_are_repeated_to_fill_the_batch(network: BenchFile) -> None:
    inputs = np.ones((2, 5), dtype=np.float32)
    config = LatencyConfig(files=(network,), runtimes=("onnxruntime",), batch_sizes=(5,), inputs=inputs, **FAST)
    report = measure_latency(config)
    assert report.measurements[0].status == "measured"
    assert report.to_json()["settings"]["inputs"] == "given"


def test_given_inputs_of_another_shape_are_refused(network: BenchFile) -> None:
    inputs = np.ones((2, 6), dtype=np.float32)
    config = LatencyConfig(files=(network,), runtimes=("onnxruntime",), batch_sizes=(1,), inputs=inputs, **FAST)
    (measurement,) = measure_latency(config).measurements
    assert (measurement.status, measurement.reason) == ("failed", "inputs: found shape (2, 6), allowed (n, 5)")


@pytest.mark.skipif(missing_cuda() is None, reason="there is a GPU here")
def test_without_a_gpu_device_cuda_is_one_line_and_no_fallback(network: BenchFile) -> None:
    with pytest.raises(BenchError, match=rf"^device cuda: {re.escape(str(missing_cuda()))}, allowed cpu$") as caught:
        measure_latency(LatencyConfig(files=(network,), device="cuda", **FAST))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": ()}, "files: found none, allowed at least one"),
        ({"batch_sizes": (0,)}, "batch sizes: found [0], allowed 1 and up"),
        ({"threads": 0}, "threads: found 0, allowed 1 and up"),
        ({"iterations": 2, "rounds": 3}, "iterations: found 2, allowed at least one a round (3)"),
        ({"max_seconds": 0.0}, "max_seconds: found 0.0, allowed above 0"),
        ({"device": "tpu"}, "device: found tpu, allowed cpu or cuda"),
        ({"runtimes": ("tflow",)}, f"runtime: found tflow, allowed all, {', '.join(RUNTIMES)}"),
    ],
)
def test_options_outside_what_is_allowed(network: BenchFile, change: dict[str, object], message: str) -> None:
    with pytest.raises(BenchUsageError, match=f"^{re.escape(message)}$") as caught:
        LatencyConfig(**{"files": (network,), **FAST, **change})
    assert caught.value.exit_code == 2


def test_a_label_twice_is_refused(network: BenchFile) -> None:
    message = "files: found a label twice in small, small, allowed distinct ones"
    with pytest.raises(BenchUsageError, match=f"^{message}$"):
        LatencyConfig(files=(network, network))


def test_a_file_that_no_runtime_takes(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.touch()
    message = "files: found only .pt, allowed .onnx for onnxruntime"
    with pytest.raises(BenchUsageError, match=f"^{message}$"):
        measure_latency(LatencyConfig(files=(BenchFile("m", path),), runtimes=("onnxruntime",)))


def test_a_file_that_no_runtime_takes_beside_one_that_is_taken(network: BenchFile, tmp_path: Path) -> None:
    other = tmp_path / "model.tflite"
    other.touch()
    config = LatencyConfig(
        files=(network, BenchFile("other", other)), runtimes=("onnxruntime",), batch_sizes=(1,), **FAST
    )
    measured, left_out = measure_latency(config).measurements
    assert (measured.status, left_out.status) == ("measured", "unavailable")
    assert left_out.reason == "found suffix .tflite, allowed .onnx"


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "gone.onnx"
    with pytest.raises(BenchError, match=f"^{re.escape(str(path))}: found no such file, allowed an existing one$"):
        measure_latency(LatencyConfig(files=(BenchFile("m", path),), runtimes=("onnxruntime",)))


def contestant_of(network: BenchFile, folder: Path) -> Contestant:
    np.save(folder / "x.npy", np.ones((1, 5), dtype=np.float32))
    return Contestant(
        runtime="onnxruntime",
        path=network.path,
        inputs=folder / "x.npy",
        directory=folder,
        threads=1,
        device="cpu",
        cpus=None,
        timeout_s=60,
    )


def test_a_process_that_dies_is_reported_with_its_last_words(network: BenchFile, tmp_path: Path) -> None:
    with contestant_of(network, tmp_path) as contestant:
        with pytest.raises(BenchError, match=r"^sample: the process ended \(AssertionError\)$"):
            contestant.ask("sample", count=1)
        with pytest.raises(BenchError, match=r"^the process ended \(AssertionError\)$"):
            contestant.ask("peak")


def test_a_process_that_does_not_answer_is_ended(network: BenchFile, tmp_path: Path) -> None:
    with contestant_of(network, tmp_path) as contestant:
        contestant.ask("load")
        with pytest.raises(BenchError, match=r"^spin: found no answer within 0\.5 s$"):
            contestant.ask("spin", timeout_s=0.5, seconds=60)


def test_cores_to_pin_to_reach_the_process(network: BenchFile) -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system pins no process to cores")
    core = min(os.sched_getaffinity(0))
    config = LatencyConfig(files=(network,), runtimes=("onnxruntime",), batch_sizes=(1,), cpus=(core,), **FAST)
    report = measure_latency(config)
    assert report.measurements[0].status == "measured"
    assert report.to_json()["settings"]["cpus"] == [core]
