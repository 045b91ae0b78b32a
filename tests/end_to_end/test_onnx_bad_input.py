"""`compress onnx` on what it cannot take: one line, and nothing written."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import normal, perceptron, write

from compress.errors import CompressError, CorruptFileError, UnsupportedError, UsageError, WeightsError
from compress.rounding.settings import PostTraining
from deep_compress.jobs import onnx as onnx_job


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
        onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining())
    assert str(caught.value) == f"{source}: found external data at {location!r}, allowed below the model's directory"


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
        onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining())
    assert str(caught.value).startswith(f"{source}: {message}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.onnx").exists()


def test_nan_is_named_with_its_place(tmp_path: Path) -> None:
    source = broken(tmp_path / "in.onnx", "nan")
    with pytest.raises(WeightsError, match=r"^first: found NaN or infinity at element 130, allowed finite weights$"):
        onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining())


def test_a_model_without_weights_is_told(tmp_path: Path) -> None:
    source = write(tmp_path / "in.onnx", [helper.make_node("Relu", ["x"], ["y"])], {})
    with pytest.raises(CompressError) as caught:
        onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining())
    assert str(caught.value) == f"{source}: found no weights of 256 elements or more, allowed a model with some"


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    with pytest.raises(UsageError, match=r"^out: found the input file .*in\.onnx, allowed another one$"):
        onnx_job.compress_onnx(source, source, PostTraining())


def test_calibration_of_other_inputs_is_refused(tmp_path: Path) -> None:
    source = perceptron(tmp_path / "in.onnx")
    np.savez(tmp_path / "data.npz", z=np.zeros((1, 64), np.float32))
    with pytest.raises(UsageError, match=r"^calibration: found arrays \['z'\], allowed the inputs \['x'\]$"):
        onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(), calibration=tmp_path / "data.npz")


def test_calibration_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    source, data = perceptron(tmp_path / "in.onnx"), tmp_path / "data.npz"
    np.save(tmp_path / "x.npy", np.zeros((1, 64), np.float32))
    contents = {
        "File is not a zip file": b"PK\3\4 and nothing like an archive",
        "found one array, allowed arrays by name": (tmp_path / "x.npy").read_bytes(),
        "No data left in file": b"",
    }
    for reason, content in contents.items():
        data.write_bytes(content)
        with pytest.raises(CompressError) as caught:
            onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining(), calibration=data)
        assert str(caught.value) == f"{data}: cannot be read as .npz ({reason})"


def test_a_file_that_decodes_to_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = perceptron(tmp_path / "in.onnx")
    right = onnx_job.digests_of
    monkeypatch.setattr(
        onnx_job,
        "digests_of",
        lambda path: {name: found[::-1] for name, found in right(path).items()},
    )
    with pytest.raises(CompressError, match=r"out\.onnx: decodes to other weights than were coded \(first, second\)"):
        onnx_job.compress_onnx(source, tmp_path / "out.onnx", PostTraining())
    assert not (tmp_path / "out.onnx").exists()
