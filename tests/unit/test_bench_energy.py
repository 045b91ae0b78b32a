"""`bench energy`: counters that count, and one line wherever an honest figure cannot be had."""

import re
import threading
import time
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_models import onnx_model
from rich.console import Console

import bench.energy
from bench.energy import Meter, find_meter, measure_energy, render_energy
from bench.errors import BenchError, BenchUsageError
from bench.latency.values import BenchFile, LatencyConfig


def write_package(powercap: Path, number: int, energy_uj: int = 5) -> Path:
    package = powercap / f"intel-rapl:{number}"
    package.mkdir(parents=True)
    (package / "name").write_text(f"package-{number}\n")
    (package / "max_energy_range_uj").write_text("1000\n")
    (package / "energy_uj").write_text(f"{energy_uj}\n")
    (powercap / f"intel-rapl:{number}:0").mkdir()
    return package


def test_without_a_counter_it_says_why(tmp_path: Path) -> None:
    message = f"energy: found no RAPL counter under {tmp_path}, allowed a machine that exposes one"
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$") as caught:
        find_meter("cpu", tmp_path)
    assert caught.value.exit_code == 1


def test_a_counter_that_stands_still_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, 0)
    message = "energy: found a RAPL counter that stands still at 5 µJ, allowed one that counts"
    with pytest.raises(BenchError, match=f"^{message}$"):
        find_meter("cpu", tmp_path)


def test_two_packages_are_refused(tmp_path: Path) -> None:
    write_package(tmp_path, 0)
    write_package(tmp_path, 1)
    message = "energy: found 2 RAPL packages (package-0, package-1), allowed one: ours may run on any"
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$"):
        find_meter("cpu", tmp_path)


def test_an_incomplete_counter_is_refused(tmp_path: Path) -> None:
    (write_package(tmp_path, 0) / "energy_uj").unlink()
    with pytest.raises(BenchError, match=r"^energy: found RAPL counters that cannot be read \(.*\), allowed root$"):
        find_meter("cpu", tmp_path)


def test_a_counter_that_counts_is_read(tmp_path: Path) -> None:
    counter = write_package(tmp_path, 0) / "energy_uj"
    later = threading.Timer(0.02, counter.write_text, ["17\n"])
    later.start()
    meter = find_meter("cpu", tmp_path)
    later.join()
    assert (meter.name, meter.read_uj(), meter.range_uj) == ("RAPL package-0", 17, 1000)


def test_without_an_nvidia_driver_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.energy, "_NVML_LIBRARY", "libno-such-nvml.so")
    message = "energy: found no libno-such-nvml.so, allowed a machine with an NVIDIA driver"
    with pytest.raises(BenchError, match=f"^{message}$"):
        find_meter("cuda")


def test_the_counter_may_start_again_from_zero() -> None:
    meter = Meter("m", lambda: 0, range_uj=1000)
    assert meter.between(100, 250) == 150
    assert meter.between(900, 100) == 200


@pytest.fixture
def config(tmp_path: Path) -> LatencyConfig:
    node, weight = helper.make_node("Gemm", ["x", "w"], ["y"]), np.ones((3, 2), dtype=np.float32)
    model = onnx_model([node], {"w": weight}, inputs={"x": ["batch", 3]}, outputs={"y": ["batch", 2]})
    onnx.save(model, tmp_path / "n.onnx")
    files = (BenchFile("n", tmp_path / "n.onnx"),)
    return LatencyConfig(files=files, runtimes=("onnxruntime",), batch_sizes=(4,), warm_up=1)


def test_a_constant_power_is_all_idle(config: LatencyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.energy, "_BUSY_LIMIT", 1.0)
    steady = Meter("steady 5 W", lambda: int(time.perf_counter() * 5e6))
    report = measure_energy(config, seconds=0.3, meter=steady)
    (row,) = report.rows
    assert report.idle_watts == pytest.approx(5, rel=0.01)
    assert row.status == "measured"
    assert row.calls > 0
    assert row.idle_joules == pytest.approx(report.idle_watts * row.seconds)
    assert row.gross_joules >= row.idle_joules * 0.99
    assert row.joules_an_image == pytest.approx((row.gross_joules - row.idle_joules) / (4 * row.calls))
    console = Console(width=160, record=True, file=StringIO())
    console.print(render_energy(report))
    assert "steady 5 W" in console.export_text()
    assert report.to_json()["rows"][0]["calls"] == row.calls


def test_a_busy_machine_is_refused(config: LatencyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([(0, 0), (30, 100)])
    monkeypatch.setattr(bench.energy, "_busy_and_total", lambda: next(readings))
    message = "energy: found the machine 30% busy with other work, allowed 5%"
    with pytest.raises(BenchError, match=f"^{message}$"):
        measure_energy(config, seconds=0.01, meter=Meter("m", lambda: 0))


def test_no_time_is_refused(config: LatencyConfig) -> None:
    with pytest.raises(BenchUsageError, match=r"^seconds: found 0, allowed above 0$"):
        measure_energy(config, seconds=0, meter=Meter("m", lambda: 0))
