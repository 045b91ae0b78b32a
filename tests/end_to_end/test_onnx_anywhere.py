"""An ONNX file of anybody becomes whatever a model can be, and its packed file is a citizen of every room."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from c_programs import build, execute, write_program
from onnx import TensorProto, helper, numpy_helper
from onnx_models import decoded, normal, perceptron
from safetensors.numpy import load

import compress.graph.files
from compress.packed import container
from compress.rounding.settings import PostTraining
from deep_compress.jobs import onnx as onnx_job
from deep_compress.jobs.files import load_model

Command = Callable[..., subprocess.CompletedProcess[str]]


def network(path: Path) -> Path:
    """A network for images, with everything that has to survive: open axes, metadata, doc strings, its operator set."""
    nodes = [
        helper.make_node("Conv", ["image", "conv.weight", "conv.bias"], ["c"], name="/conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="/relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="/pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="/flatten"),
        helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["scores"], name="/fc", transB=1),
    ]
    stored = {
        "conv.weight": normal(16, 1, 5, 5),
        "conv.bias": normal(16),
        "fc.weight": normal(10, 16 * 13 * 13),
        "fc.bias": normal(10),
    }
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 28, 28])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])]
    tensors = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    graph = helper.make_graph(nodes, "net", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name="them")
    model.doc_string = "somebody's network"
    model.metadata_props.add(key="classes", value="0 1 2 3 4 5 6 7 8 9")
    onnx.save_model(model, str(path))
    return path


def outputs(path: Path, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])


def test_a_file_goes_through_the_packed_one_to_everything_else_and_all_agree(command: Command, tmp_path: Path) -> None:
    network(tmp_path / "in.onnx")
    images = np.random.default_rng(2).normal(size=(4, 1, 28, 28)).astype(np.float32)
    for out in ("net.dcz", "direct.onnx", "direct.c", "direct.safetensors"):
        command("compress", "onnx", "in.onnx", "-o", out, "--bits", "5", "--keep-names", "-q", cwd=tmp_path)
    for target, out in (
        ("onnx", "net.onnx"),
        ("onnx-fixed", "fixed.onnx"),
        ("onnx-dense", "dense.onnx"),
        ("c", "net.c"),
    ):
        command("compress", "export", "net.dcz", "--target", target, "-o", out, cwd=tmp_path)
    command("compress", "unpack", "net.dcz", "-o", "net.safetensors", cwd=tmp_path)
    for one, other in (("net.onnx", "direct.onnx"), ("net.safetensors", "direct.safetensors")):
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()
    assert (tmp_path / "net.dcz").stat().st_size < (tmp_path / "net.onnx").stat().st_size
    wanted = outputs(tmp_path / "dense.onnx", images)
    for name in ("net.onnx", "fixed.onnx"):
        assert outputs(tmp_path / name, images).tobytes() == wanted.tobytes()
    before, after = onnx.load(tmp_path / "in.onnx"), onnx.load(tmp_path / "dense.onnx")
    for field in ("opset_import", "metadata_props", "ir_version", "producer_name", "doc_string"):
        assert getattr(after, field) == getattr(before, field)
    assert list(after.graph.node) == list(before.graph.node)
    assert list(after.graph.input) == list(before.graph.input)
    assert list(after.graph.output) == list(before.graph.output)
    weights = load((tmp_path / "net.safetensors").read_bytes())
    assert set(weights) == {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}
    assert np.unique(weights["fc.weight"]).size <= 32
    if shutil.which("gcc") is None:
        pytest.skip("found no gcc")
    files = {suffix: (tmp_path / f"net{suffix}").read_bytes() for suffix in (".c", ".h")}
    (tmp_path / "program").mkdir()
    build("gcc", write_program(tmp_path / "program", {"net": files}, 4), tmp_path / "run", ("-O1",))
    [(singly, together)] = execute([str(tmp_path / "run")], [images], [10])
    for found in (singly, together):
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_a_packed_file_of_somebody_elses_network_is_like_any_other(command: Command, tmp_path: Path) -> None:
    network(tmp_path / "in.onnx")
    told = json.loads(command("compress", "onnx", "in.onnx", "-o", "net.dcz", "--json", cwd=tmp_path).stdout)
    assert (told["target"], told["bytes_after"]) == ("dcz", (tmp_path / "net.dcz").stat().st_size)
    inspected = json.loads(command("compress", "inspect", "net.dcz", "--json", cwd=tmp_path).stdout)
    kinds = {tensor["name"]: tensor["kind"] for tensor in inspected["account"]["tensors"]}
    assert kinds == {"conv.weight": "coded", "fc.weight": "coded", "conv.bias": "dense", "fc.bias": "dense"}
    assert inspected["provenance"]["post-training"] == "bits=6"
    assert "sound" in command("compress", "verify", "net.dcz", cwd=tmp_path).stdout
    correct = json.loads(command("compress", "eval", "net.dcz", "-q", "--json", cwd=tmp_path).stdout)
    dense = json.loads(command("compress", "eval", "in.onnx", "-q", "--json", cwd=tmp_path).stdout)
    assert correct["total"] == dense["total"] == 10_000
    assert abs(correct["correct"] - dense["correct"]) < 600
    assert "net.dcz" in command("bench", "size", "net.dcz", "in.onnx", cwd=tmp_path).stdout
    content = bytearray((tmp_path / "net.dcz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "net.dcz").write_bytes(content)
    broken = command("compress", "verify", "net.dcz", cwd=tmp_path, check=False)
    assert broken.returncode == 1
    assert broken.stderr.startswith("error: net.dcz: checksum: found ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "net.h5"], "out: suffix: found '.h5', allowed .c, .dcz, .onnx, .safetensors"),
        (["-o", "net.onnx", "--target", "c"], "out: found suffix '.onnx', allowed .c for target c"),
        (
            ["-o", "net", "--target", "d"],
            "target: found 'd', allowed dcz, c, onnx, onnx-dense, onnx-fixed, safetensors",
        ),
        (["-o", "net.onnx", "--rounding", "up"], "rounding: found 'up', allowed k-means, grid"),
        (["-o", "net.dcz", "--no-functions"], "option functions: not one of target dcz, allowed none"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(
    arguments: list[str], message: str, command: Command, tmp_path: Path
) -> None:
    network(tmp_path / "in.onnx")
    done = command("compress", "onnx", "in.onnx", *arguments, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["in.onnx"]


@pytest.mark.parametrize("out", ["out.onnx", "dense.onnx", "out.dcz"])
def test_a_model_that_is_too_large_for_one_message_is_read_and_written(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of 2 GiB, which `python -m benchmarks.onnx_large` shows; here the bound is lower."""
    source = perceptron(tmp_path / "in.onnx")
    whole = onnx.load(source)
    onnx.save_model(whole, source, save_as_external_data=True, location="data.bin", size_threshold=100)
    monkeypatch.setattr(compress.graph.files, "LARGEST_MESSAGE", 8_000)
    target = "onnx-dense" if out == "dense.onnx" else None
    report = onnx_job.compress_onnx(source, tmp_path / out, PostTraining(bits=5), target=target)
    written = {path.name: path.stat().st_size for path in tmp_path.glob(f"{Path(out).stem}.*")}
    assert report.bytes_after == sum(written.values())
    assert ("dense.onnx.data" in written) == (out == "dense.onnx")
    assert report.worst_error < 0.2
    if out != "out.dcz":
        for array in decoded_of(tmp_path / out).values():
            assert np.unique(array).size <= 32
    if out == "dense.onnx":
        model = load_model(tmp_path / out)
        assert set(model.weights()) == {"first", "bias", "second"}
        assert (
            container.loads(container.dumps(model)).weights()["first"].tobytes() == model.weights()["first"].tobytes()
        )


def decoded_of(path: Path) -> dict[str, np.ndarray]:
    if path.name == "dense.onnx":
        stored = onnx.load(path).graph.initializer
        return {own.name: numpy_helper.to_array(own) for own in stored if len(own.dims) > 1}
    model = onnx.load(path)
    products = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    return decoded(path, [node.input[1] for node in products if len(node.input) > 1 and node.output[0] in ("y",)])
