"""`compress onnx` under a bound: size, output error, sparsity, memory; biases corrected; the same bytes again."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import calibration, decoded, normal, perceptron, write

from compress.errors import CompressError
from compress.rounding.settings import PostTraining
from deep_compress.jobs import onnx as onnx_job


def test_a_size_is_kept(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    sizes = []
    for target in (15_000, 12_000):
        settings = PostTraining(bits=8, target_size=target)
        report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", settings)
        assert report.bytes_after <= target
        sizes.append(report.bytes_after)
    assert sizes[0] > sizes[1]
    with pytest.raises(CompressError, match=r"^target-size: found \d+ bytes at 2 bits, allowed 2000$"):
        onnx_job.compress_onnx(source, tmp_path / "no.onnx", PostTraining(target_size=2000))
    assert not (tmp_path / "no.onnx").exists()


def test_an_error_is_kept(tmp_path: Path) -> None:
    source, data = perceptron(tmp_path / "in.onnx"), calibration(tmp_path / "data.npz")
    sizes = []
    for allowed in (0.02, 0.1):
        settings = PostTraining(bits=8, max_error=allowed, bias_correction=False)
        report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", settings, calibration=data)
        assert report.worst_error <= allowed
        assert report.error_on == str(data)
        sizes.append(report.bytes_after)
    assert sizes[0] > sizes[1]


def test_what_costs_too_much_error_is_left(tmp_path: Path) -> None:
    source, data = perceptron(tmp_path / "in.onnx"), calibration(tmp_path / "data.npz")
    settings = PostTraining(bits=4, max_error=0.01, bias_correction=False)
    with pytest.raises(CompressError, match=r"in\.onnx: found no tensor that would shrink, allowed at least one$"):
        onnx_job.compress_onnx(source, tmp_path / "no.onnx", PostTraining(bits=1, max_error=1e-6), calibration=data)
    spread = normal(128, 64) * np.geomspace(1e-3, 1, 64, dtype=np.float32) ** 4
    source = perceptron(tmp_path / "in.onnx", stored={"second": np.float32(spread), "first": np.sign(normal(64, 128))})
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", settings, calibration=data)
    assert {row.label: (row.how, row.reason) for row in report.tensors} == {
        "first": ("lossless", ""),
        "second": ("left", "sharing it costs too much output error"),
    }


def test_a_branch_that_no_input_takes_keeps_its_bits(tmp_path: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        output = helper.make_tensor_value_info(f"{name} y", TensorProto.FLOAT, ["n", 128])
        stored = [numpy_helper.from_array(normal(64, 128), f"{name} w")]
        return helper.make_graph(
            [helper.make_node("MatMul", ["x", f"{name} w"], [f"{name} y"])], name, [], [output], stored
        )

    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], then_branch=branch("then"), else_branch=branch("else")),
    ]
    source = write(tmp_path / "in.onnx", nodes, {"zero": np.array(0, np.float32)})
    data = calibration(tmp_path / "data.npz")
    report = onnx_job.compress_onnx(
        source, tmp_path / "out.onnx", PostTraining(bits=7, max_error=0.2), calibration=data
    )
    bits = {row.label: row.bits for row in report.tensors}
    assert bits["else/else w"] == 7
    assert bits["then/then w"] is not None
    assert bits["then/then w"] < 7


def test_correcting_biases_lowers_the_error(tmp_path: Path) -> None:
    source, data = perceptron(tmp_path / "in.onnx"), calibration(tmp_path / "data.npz")
    errors = {}
    for corrected in (False, True):
        settings = PostTraining(bits=2, bias_correction=corrected)
        report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", settings, calibration=data)
        errors[corrected] = report.mean_error
        assert ("1 biases were corrected" in report.notes) == corrected
    assert errors[True] < errors[False]


def test_pruning_and_the_memory_bound_are_obeyed(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    settings, options = PostTraining(sparsity=0.9), {"max_load_memory": 0, "short_names": False}
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", settings, options=options)
    for array in decoded(tmp_path / "out.onnx", ["first", "second"]).values():
        assert np.count_nonzero(array) == array.size - round(0.9 * array.size)
    assert {row.reason for row in report.tensors} == {"fixed width, for the memory at load"}


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    for name in ("one.onnx", "two.onnx"):
        onnx_job.compress_onnx(source, tmp_path / name, PostTraining())
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
