"""`compress search` and `compress sensitivity` as a user types them, on a network of his own: interrupted, gone on
with, run in full; and everything that he may get wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Command = Callable[..., CompletedProcess[str]]
ROOT = Path(__file__).resolve().parent.parent.parent

OWN = """
from torch import nn

def build(classes, channels):
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, stride=3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(384, 30), nn.ReLU(), nn.Linear(30, classes),
    )
"""
SMALL = (
    "--network", "own:build", "--epochs=3", "--set", "limit=2500", "--set", "held_out=500", "--set", "batch_size=32",
)  # fmt: skip
SEARCH = (
    "search", "--max-drop", "3", *SMALL, "--rounds=2", "--retrain-epochs=1", "--tune-epochs=1", "--trials=14",
    "--finalists=3", "--out", "found",
)  # fmt: skip
NAMES = [
    "dense.safetensors", "front.png", "recipe.yaml", "run", "search.json", "sensitivity.csv", "sensitivity.json",
    "sensitivity.png", "trials.csv", "trials.jsonl",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN, "utf-8")
    return tmp_path


def _trials(place: Path) -> int:
    path = place / "trials.jsonl"
    return path.read_text("utf-8").count('{"trial"') if path.exists() else 0


def _interrupted(home: Path, when: int) -> tuple[int, str]:
    """Press Ctrl-C when so many trials are kept: the exit code, and standard error."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), NO_COLOR="1")
    code = "import sys, cli; sys.argv[0] = 'compress'; cli.compress()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, *SEARCH],
        cwd=home,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where tests run in the background
    )
    deadline = time.monotonic() + 300
    while child.poll() is None and _trials(home / "found") < when and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=120)
    return child.returncode, told


def test_a_search_is_interrupted_gone_on_with_and_run(command: Command, home: Path) -> None:
    pytest.importorskip("optuna")
    place = home / "found"
    code, told = _interrupted(home, 3)
    assert code == 130, told
    lines = told.splitlines()
    assert lines[-1] == "error: interrupted"
    assert "the best so far is kept in found/recipe.yaml" in lines[-2]
    assert 3 <= _trials(place) < 14
    assert "scope: per-layer" in (place / "recipe.yaml").read_text("utf-8")

    done = command("compress", *SEARCH, "--json", cwd=home)
    found = json.loads(done.stdout)
    assert _trials(place) == 14
    assert not [line for line in done.stderr.splitlines() if line.startswith("train: epoch")]
    assert sorted(path.name for path in place.iterdir()) == NAMES
    chosen, run = found["chosen"], found["run"]
    assert chosen["held_out_percent"] >= found["dense"]["held_out_percent"] - 3
    assert run["file_bytes"] == chosen["file_bytes"] == (place / "run" / "model.dcz").stat().st_size
    assert list(run["held_out"].values())[-1]["percent"] == chosen["held_out_percent"]
    assert run["test"]["file"]["total"] == 10_000

    command(
        "compress", "run", "--recipe", place / "recipe.yaml", "--checkpoint", place / "dense.safetensors", "--out",
        home / "again", "--quiet", cwd=home,
    )  # fmt: skip
    assert (home / "again" / "model.dcz").read_bytes() == (place / "run" / "model.dcz").read_bytes()

    done = command("compress", *SEARCH, cwd=home, check=False)
    message = "error: found: found a finished search, allowed a new place; --force replaces its result"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, message)

    other = [*SEARCH[:1], "--target-size", f"{chosen['file_bytes'] + 300}", *SEARCH[3:], "--no-run", "--force"]
    done = command("compress", *other, cwd=home)
    assert "Short trials: the front" in done.stdout
    assert not (place / "run").exists()
    assert json.loads((place / "search.json").read_text("utf-8"))["front"] == found["front"]


def test_a_scan_prints_its_table_and_keeps_its_network(command: Command, home: Path) -> None:
    done = command(
        "compress", "sensitivity", *SMALL, "--sparsities", "0.9,0.5", "--bits", "2,4", "--out", "scan", cwd=home
    )
    assert "One layer alone pruned: held-out %" in done.stdout
    assert "One layer alone shared: held-out %" in done.stdout
    assert "files in scan: dense.safetensors, sensitivity.csv, sensitivity.json, sensitivity.png" in done.stdout
    done = command(
        "compress", "sensitivity", *SMALL, "--sparsities", "0.5,0.9", "--bits", "2,4", "--out", "again",
        "--checkpoint", "scan/dense.safetensors", "--json", "--quiet", cwd=home,
    )  # fmt: skip
    assert done.stderr == ""
    assert json.loads(done.stdout) == json.loads((home / "scan" / "sensitivity.json").read_text("utf-8"))
    assert list(json.loads(done.stdout)["layers"]) == ["0", "5", "7"]


USAGE = {
    (): "search: found neither of max-drop and target-size, allowed one of them",
    ("--max-drop=1", "--target-size=8kB"): "search: found both of max-drop and target-size, allowed one of them",
    ("--max-drop=much",): "max-drop: found 'much', allowed a number",
    ("--max-drop=nan",): "max-drop: found 'nan', allowed a number",
    ("--max-drop=-1",): "max-drop: found -1, allowed 0 to 100 points",
    ("--target-size=8 bananas",): "target-size: found '8 bananas', allowed a size such as 8kB, 4KiB or 900",
    ("--max-drop=1", "--trials=0"): "trials: found 0, allowed a whole number from 1 on",
    ("--max-drop=1", "--trials=few"): "trials: found 'few', allowed a whole number",
    ("--max-drop=1", "--network=lenet"): "nearest: lenet-5",
    ("--max-drop=1", "--network=nowhere:build"): "network nowhere:build: nowhere cannot be imported",
    ("--max-drop=1", "--data=minst"): "nearest: mnist",
    ("--max-drop=1", "--device=tpu"): "device: found 'tpu', allowed auto, cpu, cuda",
    ("--max-drop=1", "--set", "pattern=2:4", "--set", "sparsity=0.5"): "pattern: found '2:4', allowed none in a search",
}


@pytest.mark.parametrize(("arguments", "message"), USAGE.items(), ids=[" ".join(a) or "nothing" for a in USAGE])
def test_a_usage_mistake_is_one_line_before_any_training(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    pytest.importorskip("optuna")
    done = command("compress", "search", *arguments, cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []
