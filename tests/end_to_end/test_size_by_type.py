"""Sizes of networks whose weights are not float32: every room counts them in their own element types."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import normal, perceptron, write

from compress.packed import container
from compress.rounding.settings import PostTraining
from deep_compress.jobs.measure import bench_size
from deep_compress.jobs.onnx import compress_onnx

Command = Callable[..., subprocess.CompletedProcess[str]]
HALF = 2 * (64 * 128 + 128 + 128 * 64)
QUANTISED = 64 * 128 + 4 + 1


def quantised(path: Path, *, before: bool = True, dtype: type = np.int8) -> Path:
    """A matrix that somebody quantised, behind one of float32 if it is asked for."""
    drawn = np.random.default_rng(1).normal(size=(64, 128)) * (1.2 if dtype == ml_dtypes.int4 else 6)
    stored = {
        "w": np.round(drawn).clip(-8, 7).astype(dtype),
        "scale": np.array(0.1, np.float32),
        "zero": np.array(0, dtype),
    }
    if before:
        stored["first"] = normal(64, 64)
    nodes = [helper.make_node("MatMul", ["x", "first"], ["h"])] if before else []
    nodes += [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["f"]),
        helper.make_node("MatMul", ["h" if before else "x", "f"], ["y"]),
    ]
    return write(path, nodes, stored, opset=21)


def bfloat16(path: Path) -> Path:
    nodes = [
        helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    return write(path, nodes, {"w": normal(64, 128, dtype=ml_dtypes.bfloat16)})


NETWORKS: dict[str, tuple[Callable[[Path], Path], int, int, int]] = {
    "float16": (lambda path: perceptron(path, np.float16, kind=TensorProto.FLOAT16), HALF, HALF, HALF // 2),
    "bfloat16": (bfloat16, 2 * 64 * 128, 2 * 64 * 128, 64 * 128),
    "int8": (lambda path: quantised(path, before=False), QUANTISED, QUANTISED - 2, 64 * 128 + 2),
    "mixed": (quantised, QUANTISED + 4 * 64 * 64, QUANTISED - 2 + 2 * 64 * 64, 64 * 128 + 2 + 64 * 64),
    "int4": (
        lambda path: quantised(path, dtype=ml_dtypes.int4),
        64 * 64 + 4 + 1 + 4 * 64 * 64,
        64 * 64 + 2 + 1 + 2 * 64 * 64,
        64 * 128 + 2 + 64 * 64,
    ),
}
"""Name → how it is written, bytes of its weights, with floats halved, and their number."""


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_count_in_their_element_types(name: str, command: Command, tmp_path: Path) -> None:
    make, dense_bytes, halved_bytes, weights = NETWORKS[name]
    source = make(tmp_path / "in.onnx")
    for out in ("net.dcz", "net.onnx"):
        compress_onnx(source, tmp_path / out, PostTraining(bits=4))
    assert container.loads((tmp_path / "net.dcz").read_bytes()).dense_bytes == dense_bytes
    for files in (["net.dcz"], ["net.dcz", "in.onnx"], ["net.dcz", "net.onnx"], ["in.onnx"], ["net.onnx"]):
        if (name, files) == ("bfloat16", ["net.onnx"]):
            continue  # its decoder gives float32, and nothing else in the file tells
        report = bench_size([tmp_path / file for file in files])
        assert (report.dense_bytes, report.weights, report.against) == (dense_bytes, weights, "dense weights"), files
        sizes = {row.label: row.payload_bytes for row in report.rows}
        assert sizes["dense weights"] == dense_bytes
        assert sizes["dense weights, floats as float16"] == halved_bytes
        assert ("pruned weights, xz -9" in sizes) == ("net.dcz" in files)
        for row in report.rows:
            assert row.ratio == dense_bytes / row.payload_bytes
    told = json.loads(command("compress", "inspect", "net.dcz", "--json", cwd=tmp_path).stdout)
    assert sum(row["dense_bytes"] for row in told["layers"]) == dense_bytes
    shown = command("compress", "inspect", "net.dcz", cwd=tmp_path).stdout
    assert f"under {dense_bytes:,} dense bytes" in " ".join(shown.split())
