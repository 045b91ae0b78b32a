"""`bench size`: bytes counted by hand, ratios against the dense weights, and what it refuses."""

import gzip
import lzma
import re
from io import StringIO
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import onnx_model
from rich.console import Console

from bench.errors import BenchError, BenchUsageError
from bench.size import SizeConfig, _raw, measure_size, model_weights, onnx_weights, render_size


@pytest.fixture
def dense() -> dict[str, np.ndarray]:
    return {"a": np.arange(600, dtype=np.float32).reshape(20, 30), "b": np.ones(10, dtype=np.float32)}


def test_every_line_and_its_ratio(tmp_path: Path, dense: dict[str, np.ndarray]) -> None:
    path = tmp_path / "model.dcz"
    path.write_bytes(bytes(122))
    pruned = {name: np.where(array < 500, 0, array).astype(np.float32) for name, array in dense.items()}
    calls: list[tuple[int, int, str]] = []
    config = SizeConfig(files=(("model.dcz", path),), dense=dense, pruned=pruned)
    report = measure_size(config, lambda *step: calls.append(step))
    rows = {row.label: row for row in report.rows}
    raw = np.concatenate([array.ravel() for array in dense.values()]).astype("<f4").tobytes()
    cut = np.concatenate([array.ravel() for array in pruned.values()]).astype("<f4").tobytes()
    assert (report.dense_bytes, report.weights) == (2440, 610)
    assert rows["dense float32"].payload_bytes == 2440
    assert rows["dense float16"].payload_bytes == 1220
    assert rows["dense float16"].ratio == 2
    assert rows["dense float32, gzip -9"].payload_bytes == len(gzip.compress(raw, 9, mtime=0))
    assert rows["pruned float32, xz -9"].payload_bytes == len(lzma.compress(cut, preset=9))
    assert rows["pruned float32, zstd -19"].payload_bytes < rows["dense float32, zstd -19"].payload_bytes
    assert (rows["model.dcz"].payload_bytes, rows["model.dcz"].ratio, rows["model.dcz"].kind) == (122, 20, "file")
    assert calls[0] == (0, 9, "dense float32")
    assert calls[-1] == (9, 9, "done")


def test_without_pruned_weights_there_are_no_pruned_lines(dense: dict[str, np.ndarray]) -> None:
    report = measure_size(SizeConfig(files=(), dense=dense))
    assert [row.label for row in report.rows if "pruned" in row.label] == []


def test_json_and_table_say_the_same(dense: dict[str, np.ndarray]) -> None:
    report = measure_size(SizeConfig(files=(), dense=dense))
    rows = report.to_json()["rows"]
    first = {"label": "dense float32", "kind": "weights", "counts": "weights alone", "bytes": 2440, "ratio": 1.0}
    assert rows[0] == first
    console = Console(width=100, record=True, file=StringIO())
    console.print(render_size(report))
    text = console.export_text()
    assert all(f"{row['bytes']:,}" in text for row in rows)


MIXED = {
    "whole": np.array([1, -2], np.float32),
    "half": np.array([1, 2, 3], np.float16),
    "brain": np.array([1], ml_dtypes.bfloat16),
    "signed": np.array([[-1], [1]], np.int8),
    "unsigned": np.array([255], np.uint8),
    "nibbles": np.array([1, -1, 7], ml_dtypes.int4),
    "few": np.array(15, ml_dtypes.uint4),
}
RAW = bytes.fromhex("0000803f 000000c0 003c 0040 0042 803f ff 01 ff f1 07 0f")
HALVED = bytes.fromhex("003c 00c0 003c 0040 0042 003c ff 01 ff f1 07 0f")


def test_weights_count_in_their_own_types() -> None:
    pruned = {name: np.zeros_like(array) if name == "whole" else array for name, array in MIXED.items()}
    report = measure_size(SizeConfig(files=(), dense=MIXED, pruned=pruned))
    assert (report.dense_bytes, report.weights, report.against) == (len(RAW), 13, "dense weights")
    rows = {row.label: row.payload_bytes for row in report.rows}
    assert rows["dense weights"] == len(RAW)
    assert rows["dense weights, floats as float16"] == len(HALVED)
    assert rows["dense weights, gzip -9"] == len(gzip.compress(RAW, 9, mtime=0))
    assert rows["pruned weights, gzip -9"] == len(gzip.compress(bytes(8) + RAW[8:], 9, mtime=0))
    assert (_raw(MIXED), _raw(MIXED, halved=True)) == (RAW, HALVED)


def test_a_type_that_no_weight_has_is_refused() -> None:
    message = "axes: found elements of int64, allowed float32, float16, bfloat16, int8, uint8, int4, uint4"
    with pytest.raises(BenchUsageError, match=f"^{message}$"):
        SizeConfig(files=(), dense={"axes": np.array([2])})


def test_every_row_says_what_its_bytes_are(tmp_path: Path, dense: dict[str, np.ndarray]) -> None:
    coded = [helper.make_node("Gather", ["codebook", "codes"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    looked_up = [helper.make_node("Cast", ["x"], ["i"], to=7), helper.make_node("Gather", ["codebook", "i"], ["y"])]
    stored = {"codebook": np.float32([1, 2]), "codes": np.int64([[0, 1], [1, 0]])}
    for name, nodes in (("coded", coded), ("embedding", looked_up)):
        onnx.save(onnx_model(nodes, stored, inputs={"x": None}, outputs={"y": None}), tmp_path / f"{name}.onnx")
    for name in ("m.dcz", "m.c", "m.tflite"):
        (tmp_path / name).write_bytes(b"some")
    names = ("m.dcz", "m.c", "m.tflite", "coded.onnx", "embedding.onnx")
    report = measure_size(SizeConfig(files=tuple((name, tmp_path / name) for name in names), dense=dense))
    assert {row.label: row.counts for row in report.rows if row.kind == "file"} == {
        "m.dcz": "whole file: packed, to be unpacked or exported",
        "m.c": "whole file: C source, not yet compiled",
        "m.tflite": "whole file",
        "coded.onnx": "whole file: ONNX that decodes its weights at load",
        "embedding.onnx": "whole file: ONNX, weights as they are",
    }
    assert {row.counts for row in report.rows if row.kind == "weights"} == {"weights alone"}


def test_weights_of_an_onnx_file_in_its_order(tmp_path: Path) -> None:
    initializers = [
        numpy_helper.from_array(np.ones((3, 2), dtype=np.float32), "w"),
        numpy_helper.from_array(np.array([2], dtype=np.int64), "axes"),
        numpy_helper.from_array(np.zeros(2, dtype=np.float32), "b"),
        *(numpy_helper.from_array(array, name) for name, array in MIXED.items()),
    ]
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        initializers,
    )
    onnx.save(helper.make_model(graph), tmp_path / "n.onnx")
    weights = onnx_weights(tmp_path / "n.onnx")
    assert list(weights) == ["w", "b", *MIXED]
    for name, array in MIXED.items():
        assert (weights[name].dtype, weights[name].shape) == (array.dtype, array.shape)
        assert weights[name].tobytes() == array.tobytes()
    del graph.initializer[:]
    graph.initializer.append(initializers[1])
    message = "n.onnx: found no initialisers of float32, float16, bfloat16, int8, uint8, int4, uint4, "
    with pytest.raises(BenchError, match=f"^{message}allowed a dense ONNX network$"):
        model_weights(helper.make_model(graph), "n.onnx")


def test_a_missing_file_is_named(tmp_path: Path, dense: dict[str, np.ndarray]) -> None:
    path = tmp_path / "gone.dcz"
    message = f"{path}: found no readable file (No such file or directory), allowed an existing one"
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$"):
        measure_size(SizeConfig(files=(("gone", path),), dense=dense))


def test_an_empty_file_is_refused(tmp_path: Path, dense: dict[str, np.ndarray]) -> None:
    path = tmp_path / "empty.dcz"
    path.touch()
    with pytest.raises(BenchError, match=r"^empty: found an empty file, allowed one with content$"):
        measure_size(SizeConfig(files=(("empty", path),), dense=dense))


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "not.onnx"
    path.write_bytes(b"\xff" * 50)
    with pytest.raises(
        BenchError, match=rf"^{re.escape(str(path))}: found no ONNX model \(.*\), allowed an ONNX file$"
    ):
        onnx_weights(path)


def test_nothing_to_compare_with() -> None:
    message = "dense weights: found none, allowed at least one array to compare with"
    with pytest.raises(BenchUsageError, match=f"^{message}$"):
        SizeConfig(files=(), dense={})


def test_pruned_weights_of_another_network(dense: dict[str, np.ndarray]) -> None:
    message = "pruned weights: found 1 values, allowed the dense network's 610"
    with pytest.raises(BenchUsageError, match=f"^{message}$"):
        SizeConfig(files=(), dense=dense, pruned={"a": np.ones(1, dtype=np.float32)})
