"""The examples of docs/bench.md, run as they stand."""

import doctest
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.runtimes import RUNTIMES

DOCUMENT = Path(__file__).parents[2] / "docs" / "bench.md"


def _write(path: Path, density: float) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 16), dtype=np.float32) * (rng.random((8, 16)) < density)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])],
        [numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


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
