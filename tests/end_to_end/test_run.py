"""The whole job in small, through the real command line, and everything a user does with its files."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file

from export import TARGETS

Command = Callable[..., CompletedProcess[str]]

SMALL = (
    "--epochs=1", "--rounds=2", "--retrain-epochs=1", "--tune-epochs=1",
    "--set", "limit=3000", "--set", "held_out=500", "--set", "batch_size=32",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    done = command("compress", "run", "--sparsity", "0.9", "--bits", "5", *SMALL, cwd=home)
    assert "Per layer" in done.stdout
    assert "held-out accuracy" in done.stderr
    return home / "runs" / "lenet-5-mnist-s0.9-b5"


@pytest.fixture(scope="module")
def report(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report.json").read_text("utf-8"))
    return found


def test_the_run_holds_its_files(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {
        "model.dcz",
        "model.onnx",
        "model.c",
        "model.h",
        "dense.onnx",
        "dense.safetensors",
        "recipe.yaml",
        "report.json",
        "report.png",
    } <= names
    assert (run / "report.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [path.name for path in run.parent.iterdir()] == [run.name]


def test_the_report_counts_whole_files(run: Path, report: dict[str, Any]) -> None:
    size = (run / "model.dcz").stat().st_size
    assert report["file_bytes"] == size
    assert report["dense_bytes"] == 246_824
    assert report["ratio"] == pytest.approx(246_824 / size)
    assert sum(layer["kept"] for layer in report["layers"] if layer["weight_bits"]) == 6147
    assert report["test"]["file"]["total"] == 10_000
    assert report["onnx_difference"] <= 1e-5
    assert report["files"]["model.onnx"] == (run / "model.onnx").stat().st_size < size + 4096 < 246_824
    assert report["targets"] == {
        "onnx": {"files": ["model.onnx"], "remarks": []},
        "c": {"files": ["model.c", "model.h"], "remarks": []},
    }
    assert set(report["seconds"]) >= {"train", "prune", "share", "tune", "export", "test", "whole run"}


def test_the_accuracy_is_that_of_the_file(command: Command, run: Path, report: dict[str, Any]) -> None:
    for name in ("model.dcz", "model.onnx"):
        done = command("compress", "eval", run / name, "--data", "mnist", "--json", cwd=run)
        assert json.loads(done.stdout) == report["test"]["file"]
    assert report["test"]["file"]["percent"] > 50


def test_the_onnx_file_is_valid_and_takes_any_batch(run: Path) -> None:
    onnx.checker.check_model(onnx.load(run / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(str(run / "model.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 7):
        assert session.run(None, {"input": np.zeros((batch, 1, 32, 32), np.float32)})[0].shape == (batch, 10)


def test_unpacked_weights_are_those_of_the_onnx_file(command: Command, run: Path, tmp_path: Path) -> None:
    command("compress", "unpack", run / "model.dcz", "-o", tmp_path / "w.safetensors", cwd=tmp_path)
    command("compress", "unpack", run / "model.dcz", "-o", tmp_path / "w.onnx", cwd=tmp_path)
    weights = load_file(tmp_path / "w.safetensors")
    model = onnx.load(tmp_path / "w.onnx")
    dense = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    assert set(weights) == set(dense)
    assert all(weights[name].tobytes() == dense[name].tobytes() for name in weights)
    assert sum(int(np.count_nonzero(array)) for name, array in weights.items() if array.ndim > 1) <= 6147


def test_export_writes_a_target(command: Command, run: Path, tmp_path: Path) -> None:
    done = command(
        "compress", "export", run / "model.dcz", "--target", "onnx-dense", "-o", tmp_path / "n.onnx", cwd=tmp_path
    )
    assert done.stdout.strip() == str(tmp_path / "n.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "n.onnx"), full_check=True)


def test_inspect_accounts_for_every_byte(command: Command, run: Path, report: dict[str, Any]) -> None:
    done = command("compress", "inspect", run / "model.dcz", "--json", cwd=run)
    found = json.loads(done.stdout)
    assert found["account"] == report["account"]
    assert found["layers"] == report["layers"]
    shown = command("compress", "inspect", run / "model.dcz", cwd=run).stdout
    assert "c5.weight" in shown
    assert f"{report['file_bytes']:,}" in shown


def test_verify_tells_a_sound_file_from_a_damaged_one(command: Command, run: Path, tmp_path: Path) -> None:
    assert "sound" in command("compress", "verify", run / "model.dcz", cwd=tmp_path).stdout
    content = bytearray((run / "model.dcz").read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "flipped.dcz").write_bytes(content)
    (tmp_path / "short.dcz").write_bytes(content[:100])
    for name in ("flipped.dcz", "short.dcz"):
        _fails(command("compress", "verify", tmp_path / name, cwd=tmp_path, check=False), 1, f"{tmp_path / name}: ")


def test_the_same_recipe_gives_the_same_bytes(command: Command, run: Path, tmp_path: Path) -> None:
    command("compress", "run", "--recipe", run / "recipe.yaml", "--out", tmp_path / "again", "--quiet", cwd=tmp_path)
    for name in ("model.dcz", "model.onnx", "model.c", "model.h", "dense.safetensors", "recipe.yaml"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes(), name


def test_a_checkpoint_replaces_dense_training(command: Command, run: Path, tmp_path: Path) -> None:
    done = command(
        "compress", "run", "--checkpoint", run / "dense.safetensors", *SMALL, "--sparsity=0.5", "--bits=conv=8,fc=3",
        "--targets", "onnx-dense", "--out", tmp_path / "out", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert not (tmp_path / "out" / "model.c").exists()
    report = json.loads(done.stdout)
    assert "train" not in report["seconds"]
    assert [layer["weight_bits"] for layer in report["layers"] if layer["weight_bits"]] == [8, 8, 8, 3, 3]
    assert (tmp_path / "out" / "dense.onnx").read_bytes() == (run / "dense.onnx").read_bytes()


def test_bench_size_sets_files_beside_everyday_formats(command: Command, run: Path) -> None:
    rows = json.loads(command("bench", "size", "--json", cwd=run.parent.parent).stdout)["rows"]
    sizes = {row["label"]: row["bytes"] for row in rows}
    assert sizes["dense float32"] == 246_824
    assert sizes["dense float16"] == 123_412
    packed = next(size for label, size in sizes.items() if label.endswith("model.dcz"))
    whole = {row["label"]: row["counts"] for row in rows if row["kind"] == "file"}
    assert whole["model.onnx"] == "whole file: ONNX that decodes its weights at load"
    assert whole["dense.onnx"] == "whole file: ONNX, weights as they are"
    assert sizes["model.onnx"] == (run / "model.onnx").stat().st_size
    assert packed < min(size for label, size in sizes.items() if "xz" in label or "zstd" in label or "gzip" in label)


def test_bench_latency_keeps_raw_samples(command: Command, run: Path, tmp_path: Path) -> None:
    command(
        "bench", "latency", run, "--runtimes=onnxruntime", "--batch-size=1", "--iterations=20", "--rounds=4",
        "--warm-up=2", "--out", tmp_path / "l.json", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    report = json.loads((tmp_path / "l.json").read_text("utf-8"))
    assert [m["label"] for m in report["measurements"]] == ["dense.onnx", "model.onnx"]
    assert all(m["status"] == "measured" and np.asarray(m["latency_ns"]).size == 20 for m in report["measurements"])


def test_bench_latency_runs_the_c_file_of_a_run(command: Command, run: Path, tmp_path: Path) -> None:
    command(
        "bench", "latency", run, "--runtimes=onnxruntime,c", "--batch-size=1", "--iterations=20", "--rounds=4",
        "--warm-up=2", "--out", tmp_path / "l.json", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    report = json.loads((tmp_path / "l.json").read_text("utf-8"))
    [found] = [m for m in report["measurements"] if m["runtime"] == "c"]
    if found["status"] == "unavailable":
        pytest.skip(found["reason"])
    assert (found["label"], found["status"]) == ("model.c", "measured")
    assert found["error"] <= 1e-5


def _fails(done: CompletedProcess[str], code: int, *parts: str) -> None:
    lines = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert lines, "no message"
    assert lines[-1].startswith("error: ")
    assert all(part in lines[-1] for part in parts), lines[-1]
    assert "Traceback" not in done.stderr


USAGE = [
    (("run", "--sparsity", "1"), "sparsity: found '1', allowed a number at least 0 and below 1"),
    (("run", "--sparsity", "-0.1"), "sparsity: found '-0.1', allowed"),
    (("run", "--bits", "9"), "bits: found 9, allowed 1 to 8"),
    (("run", "--bits", "conv=0"), "bits: found 0 for conv, allowed 1 to 8"),
    (("run", "--network", "lenet"), "nearest: lenet-5"),
    (("run", "--data", "minst"), "nearest: mnist"),
    (("run", "--criterion", "l11"), "nearest: l1"),
    (("run", "--initialisation", "linea"), "nearest: linear"),
    (("run", "--set", "epoch=1"), "recipe: found 'epoch'"),
    (("run", "--set", "epochs"), "set: found 'epochs', allowed NAME=VALUE"),
    (("run", "--device", "tpu"), "device: found 'tpu', allowed auto, cpu, cuda"),
    (("run", "--targets", "c"), "targets: found c, allowed exactly one of onnx, onnx-dense, onnx-fixed, and others"),
    (("run", "--targets", "onnx,cc"), f"targets: found 'cc', allowed {', '.join(TARGETS)}, nearest: c"),
    (("run", "--bts", "5"), "--bts"),
    (("rnu",), "run"),
    (("export", "x.dcz", "--target", "onx", "-o", "y.onnx"), "target: found 'onx'"),
    (("unpack", "x.dcz", "-o", "y.zip"), "out: found '.zip', allowed .safetensors, .onnx"),
    (("eval", "x.txt"), "suffix: found '.txt', allowed .dcz, .onnx"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=[" ".join(arguments) for arguments, _ in USAGE])
def test_a_usage_mistake_is_one_line_and_exit_code_2(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    _fails(command("compress", *arguments, cwd=tmp_path, check=False), 2, message)
    assert list(tmp_path.iterdir()) == []


def test_failures_are_one_line_and_exit_code_1(command: Command, run: Path, tmp_path: Path) -> None:
    weights = load_file(run / "dense.safetensors")
    bad = {name: array.copy() for name, array in weights.items()}
    bad["c3.weight"][1, 2, 3, 4] = np.nan
    save_file(bad, tmp_path / "nan.safetensors")
    save_file({name: weights[name] for name in ("c1.weight", "c1.bias")}, tmp_path / "other.safetensors")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    cases = {
        ("run", "--checkpoint", "nan.safetensors"): "found nan in c3.weight at index [1, 2, 3, 4]",
        ("run", "--checkpoint", "other.safetensors"): "found no c3.weight, allowed a checkpoint of this network",
        ("run", "--checkpoint", "none.safetensors"): "cannot be read",
        ("run", "--data-dir", "empty"): "found no train-images-idx3-ubyte",
        ("run", "--data-dir", "nowhere"): "found no such directory",
        ("run", "--out", "file/run"): "cannot be written",
        ("run", "--out", str(run)): "found an existing run, allowed a new place; --force replaces it",
        ("run", "--set", "limit=100"): "held-out: found 5000 of 100 training examples",
        ("verify", "none.dcz"): "none.dcz: cannot be read",
        ("inspect", "nan.safetensors"): "nan.safetensors: ",
        ("eval", "none.onnx"): "none.onnx: cannot be read",
    }
    before = sorted(tmp_path.rglob("*"))
    for arguments, message in cases.items():
        _fails(command("compress", *arguments, cwd=tmp_path, check=False), 1, message)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_corrupt_data_set_is_refused_before_training(command: Command, tmp_path: Path) -> None:
    header = struct.pack(">HBBIII", 0, 8, 3, 1, 28, 28)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header + zlib.compress(bytes(784)))
    done = command("compress", "run", "--data-dir", tmp_path, "--out", tmp_path / "out", cwd=tmp_path, check=False)
    _fails(done, 1, "train-images-idx3-ubyte: found SHA-256", "allowed ba891046")
    assert not (tmp_path / "out").exists()


def test_no_gpu_is_said_and_never_replaced(command: Command, run: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    _fails(command("bench", "latency", run, "--device", "cuda", cwd=tmp_path, check=False), 1, "cuda")
    _fails(command("compress", "run", "--device", "cuda", cwd=tmp_path, check=False), 2, "device: found 'cuda'")


def test_bench_without_a_run_says_so(command: Command, tmp_path: Path) -> None:
    _fails(command("bench", "size", cwd=tmp_path, check=False), 1, "found no run")


def test_help_teaches(command: Command, tmp_path: Path) -> None:
    text = command("compress", "run", "--help", cwd=tmp_path).stdout
    assert "compress run --sparsity 0.9 --bits 5" in text
    assert "fraction of the weights that is pruned" in text
    assert "0.9" in text


def test_dry_run_prints_the_recipe_and_stops(command: Command, tmp_path: Path) -> None:
    done = command("compress", "run", "--dry-run", "--sparsity", "0.95", cwd=tmp_path)
    assert "sparsity: 0.95" in done.stdout.splitlines()
    assert list(tmp_path.iterdir()) == []
