"""`compress onnx` on models of every kind: what comes out is smaller, loads, and is what was promised."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import GENERATOR, decoded, normal, perceptron, write

from compress.errors import CompressError
from compress.rounding.settings import PostTraining
from deep_compress.jobs import onnx as onnx_job

KEEP = {"short_names": False}


def test_the_command_writes_a_smaller_file_and_tells_what_became_of_it(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    source = perceptron(tmp_path / "in.onnx")
    done = command(
        "compress", "onnx", "in.onnx", "-o", "out.onnx", "--bits", "4", "--keep-names", "--json", cwd=tmp_path
    )
    report = json.loads(done.stdout)
    out = tmp_path / "out.onnx"
    assert report["bytes_before"] == source.stat().st_size
    assert report["bytes_after"] == out.stat().st_size < 0.25 * source.stat().st_size
    assert {row["label"]: row["how"] for row in report["tensors"]} == {"first": "shared", "second": "shared"}
    assert (report["small_tensors"], report["small_bytes"]) == (1, 4 * 128)
    assert 0 < report["mean_error"] <= report["worst_error"] < 0.5
    assert all(np.unique(array).size <= 16 for array in decoded(out, ["first", "second"]).values())
    before, after = onnx.load_model(str(source)), onnx.load_model(str(out))
    assert [value.SerializeToString() for value in after.graph.input] == [
        value.SerializeToString() for value in before.graph.input
    ]
    assert [value.SerializeToString() for value in after.graph.output] == [
        value.SerializeToString() for value in before.graph.output
    ]
    assert after.metadata_props[0].key == "made"
    assert after.opset_import[0].version == 17
    assert list(after.graph.node)[-3:] == list(before.graph.node)
    assert not {"first", "second"} & {initializer.name for initializer in after.graph.initializer}


def test_the_table_names_every_tensor(command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    perceptron(tmp_path / "in.onnx")
    done = command("compress", "onnx", "in.onnx", "-o", "out.onnx", cwd=tmp_path)
    assert "first" in done.stdout
    assert "small tensors left: 1, 512 bytes (fewer than 256 elements, or vectors of fewer than 4,096)" in done.stdout
    assert "shared, 6 bits" in done.stdout
    assert "note: output errors were measured on random inputs" in done.stdout


@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel", "per-group:8"])
def test_every_granularity_is_written_and_finer_is_nearer(granularity: str, tmp_path: Path) -> None:
    stored = {"first": normal(64, 128) * np.geomspace(1, 100, 128, dtype=np.float32)}
    source = perceptron(tmp_path / "in.onnx", stored=stored)
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(bits=3, granularity=granularity))
    rms = {row.label: row.rms_error for row in report.tensors}["first"]
    assert (rms < 0.2) == (granularity != "per-tensor")


def test_a_clustered_and_pruned_file_is_coded_without_loss(tmp_path: Path) -> None:
    weights = np.float32([-0.5, 0.25, 0.75])[GENERATOR.integers(0, 3, (64, 128))]
    weights[GENERATOR.random(weights.shape) < 0.8] = 0
    source = perceptron(tmp_path / "in.onnx", stored={"first": weights, "second": np.sign(normal(128, 64))})
    for settings in (PostTraining(), PostTraining(lossless=True)):
        report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", settings, options=KEEP)
        assert {row.how for row in report.tensors} == {"lossless"}
        assert report.worst_error <= 1e-6
        assert decoded(tmp_path / "out.onnx", ["first"])["first"].tobytes() == weights.tobytes()
        assert report.ratio < 0.1


def test_lossless_leaves_what_has_too_many_values(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx", stored={"second": np.sign(normal(128, 64))})
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(lossless=True))
    assert {row.label: (row.how, row.reason) for row in report.tensors} == {
        "first": ("left", "more than 256 distinct values"),
        "second": ("lossless", ""),
    }


def test_half_precision_stays_half_precision(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx", np.float16, kind=TensorProto.FLOAT16)
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(bits=4))
    assert {row.element for row in report.tensors} == {"float16"}
    assert report.ratio < 0.45
    onnx.checker.check_model(str(tmp_path / "out.onnx"), full_check=True)


def test_bfloat16_weights_are_shared(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    source = write(tmp_path / "in.onnx", nodes, {"w": normal(64, 128, dtype=ml_dtypes.bfloat16)})
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(bits=4))
    assert [(row.element, row.how) for row in report.tensors] == [("bfloat16", "shared")]
    assert report.ratio < 0.5


def test_quantised_integers_are_coded_without_loss(tmp_path: Path) -> None:
    quantised = np.clip(np.round(GENERATOR.normal(size=(64, 512)) * 6), -127, 127).astype(np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["f"]),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    stored = {"w": quantised, "scale": np.array(0.02, np.float32), "zero": np.array(0, np.int8)}
    source = write(tmp_path / "in.onnx", nodes, stored)
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(), options=KEEP)
    assert [(row.element, row.how) for row in report.tensors] == [("int8", "lossless")]
    assert report.worst_error <= 1e-6
    assert report.ratio < 0.75
    assert decoded(tmp_path / "out.onnx", ["w"])["w"].tobytes() == quantised.tobytes()


def test_four_bit_integers_are_coded_without_loss(tmp_path: Path) -> None:
    quantised = np.clip(np.round(GENERATOR.normal(size=(64, 512)) * 1.2 + 8), 0, 15).astype(ml_dtypes.uint4)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["f"]),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    stored = {"w": quantised, "scale": np.array(0.1, np.float32), "zero": np.array(8, ml_dtypes.uint4)}
    source = write(tmp_path / "in.onnx", nodes, stored, opset=21)
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining())
    assert [(row.element, row.how) for row in report.tensors] == [("uint4", "lossless")]
    assert report.worst_error <= 1e-6
    assert report.ratio < 0.8


def test_recurrent_convolutional_and_embedding_weights_are_shared(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "image"], ["i"]),
        helper.make_node("Conv", ["i", "conv"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["c", "back"], ["t"], kernel_shape=[2, 2]),
        helper.make_node("Reshape", ["t", "steps"], ["s"]),
        helper.make_node("LSTM", ["s", "lstm", "recurrent"], ["l"], hidden_size=16),
        helper.make_node("Flatten", ["l"], ["f"]),
        helper.make_node("Gather", ["table", "pick"], ["e"]),
        helper.make_node("Add", ["f", "e"], ["y"]),
    ]
    stored = {
        "image": np.int64([1, 1, 8, 8]),
        "conv": normal(32, 1, 3, 3),
        "back": normal(32, 8, 2, 2),
        "steps": np.int64([9, 8, 9]),
        "lstm": normal(1, 64, 9),
        "recurrent": normal(1, 64, 16),
        "table": normal(40, 128),
        "pick": np.int64([1, 2, 3, 4, 5, 6, 7, 8, 9]),
    }
    source = write(tmp_path / "in.onnx", nodes, stored, shape=[1, 64], out_shape=[9, 128])
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(bits=4, granularity="per-group:16"))
    read_by = {row.operators[0] for row in report.tensors if row.how == "shared"}
    assert read_by >= {"ConvTranspose", "LSTM", "Gather"}


def test_external_data_come_along(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    model = onnx.load_model(str(source))
    onnx.save_model(model, str(source), save_as_external_data=True, location="weights.bin", size_threshold=100)
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining())
    assert report.bytes_before == source.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    assert report.ratio < 0.3
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(CompressError, match=r"in\.onnx: external data weights\.bin cannot be read \(No such file"):
        onnx_job.compress_onnx(source, tmp_path / "other.onnx", PostTraining())
