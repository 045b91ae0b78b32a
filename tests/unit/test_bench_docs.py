"""The examples of docs/bench.md, run as they stand."""

import doctest
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_models import onnx_model

from bench.runtimes import RUNTIMES

DOCUMENT = Path(__file__).parents[2] / "docs" / "bench.md"


def _write(path: Path, density: float) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 16), dtype=np.float32) * (rng.random((8, 16)) < density)
    nodes = [helper.make_node("Gemm", ["x", "w"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["y"])]
    onnx.save(onnx_model(nodes, {"w": weight}, inputs={"x": ["batch", 16]}, outputs={"y": ["batch", 8]}), path)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "dense.onnx", 1.0)
    _write(tmp_path / "pruned.onnx", 0.1)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(DOCUMENT), module_relative=False, encoding="utf-8")
    assert failed == 0
    assert tried > 10


def test_the_table_names_every_runtime_in_order() -> None:
    lines = DOCUMENT.read_text("utf-8").splitlines()
    start = lines.index("| name | what runs | needs |") + 2
    named = [line.split("`")[1] for line in lines[start : start + len(RUNTIMES)]]
    assert sorted(named) == sorted(RUNTIMES)
