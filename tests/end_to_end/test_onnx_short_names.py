"""Short names in `compress onnx`: a smaller file that computes the same, and reports that name tensors as they were."""

import json
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx_models import calibration, normal, perceptron, write

from compress.errors import CompressError
from compress.rounding.settings import PostTraining
from deep_compress.jobs import onnx as onnx_job

FEED = np.random.default_rng(3).normal(size=(4, 64)).astype(np.float32)


def chain(path: Path, length: int = 40) -> Path:
    """A weight between many nodes whose names are long."""
    names = [f"/model/layers.{number}/activation/Relu_output_0" for number in range(length)]
    nodes = [helper.make_node("MatMul", ["x", "/model/first.weight"], [names[0]], name="/model/first/MatMul")]
    nodes += [helper.make_node("Relu", [one], [two]) for one, two in pairwise(names)]
    nodes.append(helper.make_node("MatMul", [names[-1], "/model/second.weight"], ["y"], doc_string="the last"))
    return write(path, nodes, {"/model/first.weight": normal(64, 128), "/model/second.weight": normal(128, 64)})


def outputs(path: Path) -> list[bytes]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [array.tobytes() for array in session.run(None, {"x": FEED})]


def test_the_command_writes_short_names_and_reports_the_old_ones(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    chain(tmp_path / "in.onnx")
    reports: dict[str, Any] = {}
    for out, flags in (("long.onnx", ["--keep-names"]), ("short.onnx", [])):
        done = command("compress", "onnx", "in.onnx", "-o", out, "--bits", "4", "--json", *flags, cwd=tmp_path)
        reports[out] = json.loads(done.stdout)
    rows = [[(row["label"], row["how"]) for row in report["tensors"]] for report in reports.values()]
    assert rows[0] == rows[1] == [("/model/first.weight", "shared"), ("/model/second.weight", "shared")]
    assert reports["short.onnx"]["worst_error"] == reports["long.onnx"]["worst_error"]
    assert reports["short.onnx"]["bytes_after"] < reports["long.onnx"]["bytes_after"] - 40 * 2 * 36
    saved = reports["long.onnx"]["bytes_after"] - reports["short.onnx"]["bytes_after"]
    told = f"names of inner values were shortened by {saved} bytes: --keep-names keeps them"
    assert [told in report["notes"] for report in reports.values()] == [False, True]
    assert outputs(tmp_path / "short.onnx") == outputs(tmp_path / "long.onnx")
    model = onnx.load_model(str(tmp_path / "short.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert b"/model" not in model.SerializeToString()
    assert [model.graph.input[0].name, model.graph.output[0].name] == ["x", "y"]
    assert model.metadata_props[0].key == "made"


@pytest.mark.parametrize("functions", [True, False])
def test_the_decoder_is_checked_under_its_new_names(functions: bool, tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx", stored={"second": np.sign(normal(128, 64)), "first": normal(64, 4096)})
    model = onnx.load_model(str(source))
    model.graph.node[0].input[2] = ""
    model.graph.node[2].CopyFrom(helper.make_node("Slice", ["r", "starts", "ends", "axes"], ["s"]))
    model.graph.node.append(helper.make_node("MatMul", ["s", "second"], ["y"]))
    for name, number in (("starts", 0), ("ends", 128), ("axes", 1)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.int64([number]), name))
    onnx.save_model(model, str(source))
    for names in ("keep", "short"):
        options = {"functions": functions, "short_names": names == "short"}
        report = onnx_job.compress_onnx(source, tmp_path / f"{names}.onnx", PostTraining(), options=options)
        assert {row.label: row.how for row in report.tensors} == {"first": "shared", "second": "lossless"}
        assert bool(onnx.load_model(str(tmp_path / f"{names}.onnx")).functions) == functions
    assert outputs(tmp_path / "short.onnx") == outputs(tmp_path / "keep.onnx")


def test_biases_are_corrected_under_short_names(tmp_path: Path) -> None:
    source, data = perceptron(tmp_path / "in.onnx"), calibration(tmp_path / "data.npz")
    for name, names in (("long.onnx", "keep"), ("short.onnx", "short")):
        settings, options = PostTraining(bits=2), {"short_names": names == "short"}
        report = onnx_job.compress_onnx(source, tmp_path / name, settings, options=options, calibration=data)
        assert report.notes == ("1 biases were corrected",)
    assert outputs(tmp_path / "short.onnx") == outputs(tmp_path / "long.onnx")


def test_the_bytes_of_names_are_left_to_the_weights_under_a_target_size(tmp_path: Path) -> None:
    source = chain(tmp_path / "in.onnx", 200)
    with pytest.raises(CompressError, match=r"^target-size: found \d+ bytes at 2 bits, allowed 20000$"):
        keep = {"short_names": False}
        onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(target_size=20_000), options=keep)
    settings = PostTraining(bits=8, target_size=20_000)
    report = onnx_job.compress_onnx(source, tmp_path / "out.onnx", settings)
    assert 14_000 < report.bytes_after <= 20_000
    assert all((row.bits or 0) > 3 for row in report.tensors)


def test_weights_of_branches_keep_their_names_in_the_report(tmp_path: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        end = helper.make_tensor_value_info(f"{name} end", TensorProto.FLOAT, ["n", 128])
        node = helper.make_node("MatMul", ["x", "weight"], [f"{name} end"])
        stored = onnx.numpy_helper.from_array(normal(64, 128), "weight")
        return helper.make_graph([node], name, [], [end], [stored])

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum of all"], keepdims=0),
        helper.make_node("Greater", ["sum of all", "zero"], ["is it positive"]),
        helper.make_node("If", ["is it positive"], ["y"], then_branch=branch("then"), else_branch=branch("else")),
    ]
    source = write(tmp_path / "in.onnx", nodes, {"zero": np.float32(0)})
    for name, names in (("long.onnx", "keep"), ("short.onnx", "short")):
        report = onnx_job.compress_onnx(
            source, tmp_path / name, PostTraining(), options={"short_names": names == "short"}
        )
        assert {row.label for row in report.tensors} == {"then/weight", "else/weight"}
    assert outputs(tmp_path / "short.onnx") == outputs(tmp_path / "long.onnx")
