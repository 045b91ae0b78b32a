"""`compress onnx` on models of every kind: what comes out is smaller, loads, and is what was promised; or one line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import jobs.onnx_model
from compress.anyonnx import OnnxSettings
from compress.errors import CompressError, CorruptFileError, UnsupportedError, UsageError, WeightsError

GENERATOR = np.random.default_rng(0)


def normal(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return (GENERATOR.normal(size=shape) / 8).astype(dtype)


def write(path: Path, nodes: list[Any], stored: dict[str, np.ndarray], *, opset: int = 17, **more: Any) -> Path:
    kind = more.get("kind", TensorProto.FLOAT)
    inputs = [helper.make_tensor_value_info("x", kind, more.get("shape", ["n", 64]))]
    outputs = [helper.make_tensor_value_info("y", kind, more.get("out_shape", ["n", "m"]))]
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "main", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    model.metadata_props.add(key="made", value="here")
    onnx.save_model(model, str(path))
    return path


def perceptron(path: Path, dtype: Any = np.float32, **more: Any) -> Path:
    nodes = [
        helper.make_node("Gemm", ["x", "first", "bias"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "second"], ["y"]),
    ]
    stored = {
        "first": normal(64, 128, dtype=dtype),
        "bias": normal(128, dtype=dtype),
        "second": normal(128, 64, dtype=dtype),
    }
    stored.update(more.pop("stored", {}))
    return write(path, nodes, stored, **more)


def decoded(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    model = onnx.load_model(str(path))
    for name in names:
        model.graph.output.add(name=name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {
        value.name: np.zeros([d if isinstance(d, int) else 1 for d in value.shape], np.float32)
        for value in session.get_inputs()
    }
    return dict(zip(names, session.run(names, feed), strict=True))


def test_the_command_writes_a_smaller_file_and_tells_what_became_of_it(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    source = perceptron(tmp_path / "in.onnx")
    done = command("compress", "onnx", "in.onnx", "-o", "out.onnx", "--bits", "4", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    out = tmp_path / "out.onnx"
    assert report["bytes_before"] == source.stat().st_size
    assert report["bytes_after"] == out.stat().st_size < 0.25 * source.stat().st_size
    assert {row["label"]: row["how"] for row in report["tensors"]} == {"first": "shared", "second": "shared"}
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
    assert "shared, 6 bits" in done.stdout
    assert "note: output errors were measured on random inputs" in done.stdout


def test_a_mistake_is_one_line_and_an_exit_code(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "in.onnx").write_text("no model")
    done = command("compress", "onnx", "in.onnx", "-o", "out.onnx", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: in.onnx: found no ONNX model, or a truncated one\n"
    assert not (tmp_path / "out.onnx").exists()
    done = command("compress", "onnx", "in.onnx", "-o", "out.onnx", "--bits", "9", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: bits: found 9, allowed 1 to 8\n"


@pytest.mark.parametrize("granularity", ["per-tensor", "per-channel", "per-group:8"])
def test_every_granularity_is_written_and_finer_is_nearer(granularity: str, tmp_path: Path) -> None:
    stored = {"first": normal(64, 128) * np.geomspace(1, 100, 128, dtype=np.float32)}
    source = perceptron(tmp_path / "in.onnx", stored=stored)
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings(bits=3, granularity=granularity))
    rms = {row.label: row.rms_error for row in report.tensors}["first"]
    assert (rms < 0.2) == (granularity != "per-tensor")


def test_a_clustered_and_pruned_file_is_coded_without_loss(tmp_path: Path) -> None:
    weights = np.float32([-0.5, 0.25, 0.75])[GENERATOR.integers(0, 3, (64, 128))]
    weights[GENERATOR.random(weights.shape) < 0.8] = 0
    source = perceptron(tmp_path / "in.onnx", stored={"first": weights, "second": np.sign(normal(128, 64))})
    for settings in (OnnxSettings(), OnnxSettings(lossless=True)):
        report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", settings)
        assert {row.how for row in report.tensors} == {"lossless"}
        assert report.worst_error <= 1e-6
        assert decoded(tmp_path / "out.onnx", ["first"])["first"].tobytes() == weights.tobytes()
        assert report.ratio < 0.1


def test_lossless_leaves_what_has_too_many_values(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx", stored={"second": np.sign(normal(128, 64))})
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings(lossless=True))
    assert {row.label: (row.how, row.reason) for row in report.tensors} == {
        "first": ("left", "more than 256 distinct values"),
        "second": ("lossless", ""),
    }


def test_half_precision_stays_half_precision(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx", np.float16, kind=TensorProto.FLOAT16)
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings(bits=4))
    assert {row.element for row in report.tensors} == {"FLOAT16"}
    assert report.ratio < 0.45
    onnx.checker.check_model(str(tmp_path / "out.onnx"), full_check=True)


def test_bfloat16_weights_are_shared(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    source = write(tmp_path / "in.onnx", nodes, {"w": normal(64, 128, dtype=ml_dtypes.bfloat16)})
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings(bits=4))
    assert [(row.element, row.how) for row in report.tensors] == [("BFLOAT16", "shared")]
    assert report.ratio < 0.5


def test_quantised_integers_are_coded_without_loss(tmp_path: Path) -> None:
    quantised = np.clip(np.round(GENERATOR.normal(size=(64, 512)) * 6), -127, 127).astype(np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["f"]),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    stored = {"w": quantised, "scale": np.array(0.02, np.float32), "zero": np.array(0, np.int8)}
    source = write(tmp_path / "in.onnx", nodes, stored)
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings())
    assert [(row.element, row.how) for row in report.tensors] == [("INT8", "lossless")]
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
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings())
    assert [(row.element, row.how) for row in report.tensors] == [("UINT4", "lossless")]
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
    report = jobs.onnx_model.compress_onnx(
        source, tmp_path / "out.onnx", OnnxSettings(bits=4, granularity="per-group:16")
    )
    read_by = {row.operators[0] for row in report.tensors if row.how == "shared"}
    assert read_by >= {"ConvTranspose", "LSTM", "Gather"}


def test_external_data_come_along(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    model = onnx.load_model(str(source))
    onnx.save_model(model, str(source), save_as_external_data=True, location="weights.bin", size_threshold=100)
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings())
    assert report.bytes_before == source.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    assert report.ratio < 0.3
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(CompressError, match=r"in\.onnx: external data weights\.bin cannot be read \(No such file"):
        jobs.onnx_model.compress_onnx(source, tmp_path / "other.onnx", OnnxSettings())


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "deep/../../weights.bin", ""])
def test_external_data_outside_the_directory_are_refused(location: str, tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    model = onnx.load_model(str(source))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    source.write_bytes(model.SerializeToString())
    with pytest.raises(CorruptFileError) as caught:
        jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings())
    assert str(caught.value) == f"{source}: found external data at {location!r}, allowed below the model's directory"


def calibration(path: Path, count: int = 8) -> Path:
    data = np.abs(np.random.default_rng(5).normal(size=(count, 4, 64))).astype(np.float32) + 1
    np.savez(path, x=data)
    return path


def test_a_size_is_kept(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    sizes = []
    for target in (15_000, 12_000):
        settings = OnnxSettings(bits=8, target_size=target)
        report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", settings)
        assert report.bytes_after <= target
        sizes.append(report.bytes_after)
    assert sizes[0] > sizes[1]
    with pytest.raises(CompressError, match=r"^target-size: found \d+ bytes at 2 bits, allowed 2000$"):
        jobs.onnx_model.compress_onnx(source, tmp_path / "no.onnx", OnnxSettings(target_size=2000))
    assert not (tmp_path / "no.onnx").exists()


def test_an_error_is_kept(tmp_path: Path) -> None:
    source, data = perceptron(tmp_path / "in.onnx"), calibration(tmp_path / "data.npz")
    sizes = []
    for allowed in (0.02, 0.1):
        settings = OnnxSettings(bits=8, max_error=allowed, bias_correction=False)
        report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", settings, calibration=data)
        assert report.worst_error <= allowed
        assert report.error_on == str(data)
        sizes.append(report.bytes_after)
    assert sizes[0] > sizes[1]


def test_what_costs_too_much_error_is_left(tmp_path: Path) -> None:
    source, data = perceptron(tmp_path / "in.onnx"), calibration(tmp_path / "data.npz")
    settings = OnnxSettings(bits=4, max_error=0.01, bias_correction=False)
    with pytest.raises(CompressError, match=r"in\.onnx: found no tensor that would shrink, allowed at least one$"):
        jobs.onnx_model.compress_onnx(
            source, tmp_path / "no.onnx", OnnxSettings(bits=1, max_error=1e-6), calibration=data
        )
    spread = normal(128, 64) * np.geomspace(1e-3, 1, 64, dtype=np.float32) ** 4
    source = perceptron(tmp_path / "in.onnx", stored={"second": np.float32(spread), "first": np.sign(normal(64, 128))})
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", settings, calibration=data)
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
    report = jobs.onnx_model.compress_onnx(
        source, tmp_path / "out.onnx", OnnxSettings(bits=7, max_error=0.2), calibration=data
    )
    bits = {row.label: row.bits for row in report.tensors}
    assert bits["else/else w"] == 7
    assert bits["then/then w"] is not None
    assert bits["then/then w"] < 7


def test_correcting_biases_lowers_the_error(tmp_path: Path) -> None:
    source, data = perceptron(tmp_path / "in.onnx"), calibration(tmp_path / "data.npz")
    errors = {}
    for corrected in (False, True):
        settings = OnnxSettings(bits=2, bias_correction=corrected)
        report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", settings, calibration=data)
        errors[corrected] = report.mean_error
        assert ("1 biases were corrected" in report.notes) == corrected
    assert errors[True] < errors[False]


def test_pruning_and_the_memory_bound_are_obeyed(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    settings = OnnxSettings(sparsity=0.9, max_load_memory=0)
    report = jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", settings)
    for array in decoded(tmp_path / "out.onnx", ["first", "second"]).values():
        assert np.count_nonzero(array) == array.size - round(0.9 * array.size)
    assert {row.reason for row in report.tensors} == {"fixed width, for the memory at load"}


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    for name in ("one.onnx", "two.onnx"):
        jobs.onnx_model.compress_onnx(source, tmp_path / name, OnnxSettings())
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def broken(path: Path, kind: str) -> Path:
    source = perceptron(path)
    content = source.read_bytes()
    model = onnx.load_model_from_string(content)
    if kind == "truncated":
        source.write_bytes(content[:-1000])
        return source
    if kind == "old opset":
        model.opset_import[0].version = 10
    elif kind == "unknown opset":
        model.opset_import[0].version = 9999
    elif kind == "rejected":
        model.graph.node[0].op_type = "Gemn"
    elif kind == "nan":
        weights = normal(64, 128)
        weights[1, 2] = np.nan
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "first"))
    source.write_bytes(model.SerializeToString())
    return source


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("truncated", CorruptFileError, "found no ONNX model, or a truncated one"),
        ("old opset", UnsupportedError, f"found opset 10, allowed 11 to {onnx.defs.onnx_opset_version()}"),
        ("unknown opset", UnsupportedError, f"found opset 9999, allowed 11 to {onnx.defs.onnx_opset_version()}"),
        ("rejected", CorruptFileError, "found a model that onnx.checker rejects"),
    ],
)
def test_an_unfit_file_is_refused_and_nothing_written(
    kind: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    source = broken(tmp_path / "in.onnx", kind)
    with pytest.raises(error) as caught:
        jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings())
    assert str(caught.value).startswith(f"{source}: {message}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.onnx").exists()


def test_nan_is_named_with_its_place(tmp_path: Path) -> None:
    source = broken(tmp_path / "in.onnx", "nan")
    with pytest.raises(WeightsError, match=r"^first: found NaN or infinity at element 130, allowed finite weights$"):
        jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings())


def test_a_model_without_weights_is_told(tmp_path: Path) -> None:
    source = write(tmp_path / "in.onnx", [helper.make_node("Relu", ["x"], ["y"])], {})
    with pytest.raises(CompressError) as caught:
        jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings())
    assert str(caught.value) == f"{source}: found no weights of 256 elements or more, allowed a model with some"


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    with pytest.raises(UsageError, match=r"^out: found the input file .*in\.onnx, allowed another one$"):
        jobs.onnx_model.compress_onnx(source, source, OnnxSettings())


def test_calibration_of_other_inputs_is_refused(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    np.savez(tmp_path / "data.npz", z=np.zeros((1, 64), np.float32))
    with pytest.raises(UsageError, match=r"^calibration: found arrays \['z'\], allowed the inputs \['x'\]$"):
        jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings(), calibration=tmp_path / "data.npz")


def test_a_file_that_decodes_to_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = perceptron(tmp_path / "in.onnx")
    right = jobs.onnx_model.digests_of
    monkeypatch.setattr(
        jobs.onnx_model, "digests_of", lambda path: {name: found[::-1] for name, found in right(path).items()}
    )
    with pytest.raises(CompressError, match=r"out\.onnx: decodes to other weights than were coded \(first, second\)"):
        jobs.onnx_model.compress_onnx(source, tmp_path / "out.onnx", OnnxSettings())
    assert not (tmp_path / "out.onnx").exists()
