"""The runtimes `c` and `c-inside` on a C file written by hand after target c's contract."""

import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_models import onnx_model

from bench.errors import BenchError
from bench.latency.measure import measure_latency
from bench.latency.values import BenchFile, LatencyConfig
from bench.runtimes import RUNTIMES
from bench.runtimes.c import aligned, compile_c

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="found no C compiler cc")

HEADER = """
#ifndef TINY_H
#define TINY_H
#define TINY_INPUT_SIZE (2 * 2)
#define TINY_OUTPUT_SIZE 2
int tiny_run(const float *input, float *output);
int tiny_run_batch(const float *input, float *output, int n);
#endif
"""
SOURCE = """
#include "tiny.h"
int tiny_run(const float *input, float *output) {
    output[0] = 2.0f * input[0] - input[3];
    output[1] = input[1] + 0.5f;
    return STATUS;
}
int tiny_run_batch(const float *input, float *output, int n) {
    for (int i = 0; i < n; ++i) {
        int status = tiny_run(input + i * TINY_INPUT_SIZE, output + i * TINY_OUTPUT_SIZE);
        if (status) return status;
    }
    return 0;
}
"""


def write_c(folder: Path, status: int = 0, text: str = SOURCE) -> Path:
    (folder / "tiny.h").write_text(HEADER)
    (folder / "tiny.c").write_text(text.replace("STATUS", str(status)))
    return folder / "tiny.c"


def write_onnx(folder: Path) -> Path:
    weight = np.array([[2, 0, 0, -1], [0, 1, 0, 0]], dtype=np.float32)
    stored = {"w": weight, "b": np.array([0, 0.5], dtype=np.float32)}
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    path = folder / "tiny.onnx"
    onnx.save(onnx_model([node], stored, inputs={"x": ["batch", 4]}, outputs={"y": ["batch", 2]}), path)
    return path


def config(c_file: Path, reference: Path, runtimes: tuple[str, ...] = ("c", "c-inside")) -> LatencyConfig:
    files = (BenchFile("tiny.c", c_file, reference),)
    return LatencyConfig(
        files=files, runtimes=runtimes, batch_sizes=(1, 5), warm_up=2, iterations=8, rounds=2, max_seconds=5
    )


@needs_compiler
def test_both_clocks_and_both_batch_sizes_agree_with_the_reference(tmp_path: Path) -> None:
    report = measure_latency(config(write_c(tmp_path), write_onnx(tmp_path)))
    assert [(m.runtime, m.batch_size, m.status) for m in report.measurements] == [
        ("c", 1, "measured"),
        ("c-inside", 1, "measured"),
        ("c", 5, "measured"),
        ("c-inside", 5, "measured"),
    ]
    assert all(m.error is not None and m.error <= 1e-6 for m in report.measurements)
    assert all(m.summary is not None and m.summary.samples == 8 for m in report.measurements)
    assert "-std=c99" in report.measurements[0].details["flags"]


@needs_compiler
def test_without_a_reference_the_first_onnx_file_is_it(tmp_path: Path) -> None:
    files = (BenchFile("dense", write_onnx(tmp_path)), BenchFile("tiny.c", write_c(tmp_path)))
    report = measure_latency(
        LatencyConfig(files=files, runtimes=("onnxruntime", "c"), batch_sizes=(1,), iterations=2, rounds=1)
    )
    assert [(m.label, m.runtime, m.status) for m in report.measurements] == [
        ("dense", "onnxruntime", "measured"),
        ("tiny.c", "c", "measured"),
    ]


def test_without_any_onnx_file_there_is_nothing_to_agree_with(tmp_path: Path) -> None:
    message = "tiny.c: found no reference, allowed an ONNX file beside it to agree with"
    with pytest.raises(BenchError, match=f"^{message}$"):
        measure_latency(
            LatencyConfig(files=(BenchFile("tiny.c", write_c(tmp_path)),), runtimes=("c",), batch_sizes=(1,))
        )


@needs_compiler
def test_an_error_status_is_no_measurement(tmp_path: Path) -> None:
    report = measure_latency(config(write_c(tmp_path, status=3), write_onnx(tmp_path)))
    reasons = {m.runtime: (m.status, m.reason) for m in report.measurements}
    expected = ("failed", "the C file: found an error status, allowed 0")
    assert reasons == {"c": expected, "c-inside": expected}


@needs_compiler
def test_a_wrong_network_disagrees(tmp_path: Path) -> None:
    c_file = write_c(tmp_path, text=SOURCE.replace("2.0f", "2.5f"))
    report = measure_latency(config(c_file, write_onnx(tmp_path), ("c",)))
    assert {m.status for m in report.measurements} == {"disagrees"}


@needs_compiler
def test_a_file_that_does_not_compile_gives_the_compilers_first_error(tmp_path: Path) -> None:
    c_file = write_c(tmp_path, text=SOURCE.replace("input[1]", "inputs[1]"))
    with pytest.raises(BenchError, match=r"^tiny\.c: cc refuses it \(.*error: .inputs. undeclared.*\)$"):
        compile_c(c_file, tmp_path)


def test_a_missing_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lone.c"
    path.write_text("")
    header = re.escape(str(tmp_path / "lone.h"))
    expected = rf"^{header}: found no readable header \(No such file or directory\), allowed one beside the C file$"
    with pytest.raises(BenchError, match=expected):
        compile_c(path, tmp_path)


def test_a_foreign_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.c"
    path.write_text("")
    path.with_suffix(".h").write_text("int other(void);")
    message = "other.h: found no NAME_run_batch or NAME_INPUT_SIZE, allowed a header of target c"
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$"):
        compile_c(path, tmp_path)


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert RUNTIMES["c"].available("cpu") == "found no C compiler no-such-compiler"


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 1024)])
def test_buffers_begin_on_64_bytes(shape: tuple[int, ...]) -> None:
    array = aligned(shape)
    assert (array.shape, array.dtype, array.ctypes.data % 64) == (shape, np.float32, 0)
