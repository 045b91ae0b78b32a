"""`compress sweep` with real points: here, in processes and on Ray, interrupted and with a killed worker, byte for byte
the same; and what is wrong with its data, found before any training."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import psutil
import pytest
from PIL import Image

Command = Callable[..., CompletedProcess[str]]
ROOT = Path(__file__).resolve().parent.parent.parent

AXES = """
network: lenet-300-100
limit: 2000
held_out: 300
batch_size: 32
epochs: 1
rounds: 1
retrain_epochs: 1
tune_epochs: 1
sparsity: [0.5, 0.9]
bits: [3, 5]
"""
POINTS = [f"sparsity={sparsity},bits={bits}" for sparsity in (0.5, 0.9) for bits in (3, 5)]
RECORD = 3073
"""Bytes of an image of CIFAR-10 with its label."""


@pytest.fixture(scope="module")
def home(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a sweep that was run point after point."""
    place = tmp_path_factory.mktemp("sweeps")
    (place / "four.yaml").write_text(AXES, "utf-8")
    done = command("compress", "sweep", "four.yaml", "--out", "here", cwd=place)
    assert done.stdout == "4 points in here\n"
    return place


def _begin(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = dict(os.environ, PYTHONPATH=str(ROOT), NO_COLOR="1")
    code = "import sys, cli; sys.argv[0] = 'compress'; cli.compress()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "sweep", "four.yaml", *arguments],
        cwd=home,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where tests run in the background
    )


def _until(true: Callable[[], bool], child: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 300
    while not true() and child.poll() is None:
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)
    assert child.poll() is None, child.communicate()[1]


def _complete(place: Path) -> list[str]:
    return [name for name in POINTS if (place / name).is_dir()]


def _bytes(place: Path) -> dict[str, bytes]:
    """Everything that a sweep leaves but times: by its path from the sweep's directory."""
    timed = {"seconds.csv", "report.json", "report.png"}
    paths = [path for path in place.rglob("*") if path.is_file() and path.name not in timed]
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(paths)}


def _same(place: Path, home: Path) -> None:
    ours, theirs = _bytes(place), _bytes(home / "here")
    assert {"results.csv", "results.md", "pareto.png", *(f"{name}/model.dcz" for name in POINTS)} <= set(ours)
    assert list(ours) == list(theirs)
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_a_sweep_in_processes_is_interrupted_and_resumed(command: Command, home: Path) -> None:
    place = home / "processes"
    child = _begin(home, "--out", "processes", "--workers", "2")
    _until(lambda: len(_complete(place)) > 0, child)
    child.send_signal(signal.SIGINT)
    told = child.communicate(timeout=60)[1]
    assert child.returncode == 130, told
    assert told.splitlines()[-1] == "error: interrupted"
    kept = _complete(place)
    assert 0 < len(kept) < 4
    assert sorted(path.name for path in place.iterdir()) == sorted(kept)  # nothing half-done
    done = command("compress", "sweep", "four.yaml", "--out", "processes", "--workers", "2", cwd=home)
    assert f"sweep: {len(kept)} of 4 points are complete already" in done.stderr.splitlines()
    _same(place, home)


def test_a_sweep_on_ray_outlives_a_killed_worker(home: Path) -> None:
    pytest.importorskip("ray")
    place = home / "ray"
    child = _begin(home, "--out", "ray", "--workers", "ray")
    driver = psutil.Process(child.pid)
    killed: list[int] = []

    def kill_one() -> bool:
        """Kill the first worker that is at work on a point, half a second into it."""
        for process in driver.children(recursive=True):
            try:
                working = any("ray::_work" in part for part in process.cmdline())
                if working and time.time() - process.create_time() > 0.5:
                    process.kill()
                    killed.append(process.pid)
                    return True
            except psutil.NoSuchProcess:
                continue
        return False

    _until(kill_one, child)
    assert not _complete(place)
    told = child.communicate(timeout=300)[1]
    assert child.returncode == 0, told
    assert len(killed) == 1
    _same(place, home)


def _cifar(place: Path, length: int, label: int) -> None:
    """Batches that are whole by their SHA256SUMS, the second with this label; the first of this length."""
    place.mkdir()
    sums = ""
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        content = bytearray(2 * RECORD)
        if name == "data_batch_1":
            content = bytearray(length)
        if name == "data_batch_2":
            content[RECORD] = label
        (place / f"{name}.bin").write_bytes(content)
        sums += f"{sha256(content).hexdigest()}  {name}.bin\n"
    (place / "SHA256SUMS").write_text(sums, "utf-8")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bad")
    (place / "empty").mkdir()
    for name in ("cats", "dogs"):
        (place / "half" / name).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8), dtype=np.uint8)
    for number in range(4):
        Image.fromarray(pixels).save(place / "half" / "cats" / f"{number}.png")
    _cifar(place / "short", 2 * RECORD - 1, 3)
    _cifar(place / "label", 2 * RECORD, 10)
    return place


DATA = {
    "folder:empty": (1, "empty: found 0 sub-folders, allowed at least 2, one for every class"),
    "folder:half": (1, "half/dogs: found no image, allowed at least 2, one of them for the test"),
    "folder:none": (1, "none: found no such directory, allowed one with a sub-folder of images for every class"),
    "cifar-10:short": (1, "short/data_batch_1.bin: found 6145 bytes, allowed a multiple of 3073, which is one image"),
    "cifar-10:label": (1, "label/data_batch_2.bin: found the label 10 on image 1, allowed 0 to 9"),
    "minst": (2, "data: found 'minst', allowed mnist, fashion-mnist, cifar-10, cifar-100, folder, nearest: mnist"),
}  # fmt: skip


@pytest.mark.parametrize("subject", ["run", "sweep", "search", "sensitivity"])
@pytest.mark.parametrize("data", DATA)
def test_bad_data_is_one_line_before_any_training(command: Command, bad: Path, data: str, subject: str) -> None:
    before = sorted(path for path in bad.rglob("*") if path.name != "axes.yaml")
    if subject == "search":
        pytest.importorskip("optuna")
    if subject == "sweep":
        (bad / "axes.yaml").write_text(f"data: '{data}'\nsparsity: [0.5, 0.9]\nlimit: 6\nheld_out: 2\n", "utf-8")
        arguments = ["axes.yaml"]
    else:
        arguments = ["--data", data, "--set", "limit=6", "--set", "held_out=2"]
        arguments += ["--max-drop=1"] if subject == "search" else []
    done = command("compress", subject, *arguments, cwd=bad, check=False)
    code, message = DATA[data]
    assert (done.returncode, done.stderr) == (code, f"error: {message}\n")
    assert sorted(path for path in bad.rglob("*") if path.name != "axes.yaml") == before


MISTAKES = {
    "sparsity: [0.5, 1.5]\nbits: []\nsed: 3\ncriterion: [l1, l9]": [
        "bits: found no value, allowed at least one on an axis",
        "sparsity: found 1.5, allowed a number at least 0 and below 1",
        "recipe: found 'sed', allowed ",
        "criterion: found 'l9', allowed ",
    ],
    "network: [lenet-5, lenet-6]": ["network: found 'lenet-6', allowed "],
    "network: [lenet-5, 'nowhere:build']": ["network nowhere:build: nowhere cannot be imported"],
    "bits: [5, 'c9=3']\nlimit: [100, 0]": [
        "held-out: found 5000 of 100 training examples, allowed fewer than all",
        "bits, layer: found 'c9', allowed c1, c3, c5, f6, output, conv, fc, default",
    ],
    "layer_sparsity: 'f7=0.5'\nscope: per-layer": ["layer-sparsity, layer: found 'f7', allowed c1, "],
}


@pytest.mark.parametrize("axes", MISTAKES, ids=range(len(MISTAKES)))
def test_bad_axes_are_one_line_each_before_any_training(command: Command, tmp_path: Path, axes: str) -> None:
    (tmp_path / "axes.yaml").write_text(axes, "utf-8")
    done = command("compress", "sweep", "axes.yaml", cwd=tmp_path, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode in (1, 2)
    assert len(lines) == len(MISTAKES[axes])
    for line, message in zip(lines, MISTAKES[axes], strict=True):
        assert line.startswith(f"error: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["axes.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("study-z",), "sweep: found 'study-z', allowed study-a, study-b, study-c, study-d, study-e, han"),
        (("none.yaml",), "none.yaml: cannot be read (No such file or directory)"),
        (("study-c", "--workers", "0"), "workers: found 0, allowed a whole number from 1 on, or ray"),
        (("study-c", "--threads", "x"), "threads: found 'x', allowed a whole number"),
        (("study-c", "--data-dir", "mnist"), "data-dir: found 'mnist', allowed NAME=PATH"),
        (("study-c", "--data-dir", "minst=x"), "data-dir: found 'minst', allowed mnist, nearest: mnist"),
        (("study-c", "--device", "tpu"), "device: found 'tpu', allowed auto, cpu, cuda"),
    ],
)
def test_bad_options_are_one_line(command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command("compress", "sweep", *arguments, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {message}")
    assert list(tmp_path.iterdir()) == []
