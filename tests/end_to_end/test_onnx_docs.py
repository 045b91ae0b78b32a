"""The commands and the program of docs/onnx.md, as they stand there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_models import compressed, onnx_model

from compress.packed.container import dumps, load

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", (ROOT / "docs" / "onnx.md").read_text("utf-8"), re.DOTALL)
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
PROGRAMS = [block for kind, block in BLOCKS if kind == "python"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)

    def save(name: str, weights: np.ndarray) -> None:
        nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "v"], ["y"])]
        stored, shape = {"w": weights, "v": weights.T.copy()}, ["n", 128]
        model = onnx_model(nodes, stored, inputs={"x": shape}, outputs={"y": shape})
        onnx.save_model(model, str(tmp_path / name))

    save("model.onnx", generator.normal(size=(128, 128)).astype(np.float32))
    save("clustered.onnx", np.float32([-1, 0.5, 2])[generator.integers(0, 3, (128, 128))])
    np.savez(tmp_path / "data.npz", x=generator.normal(size=(3, 2, 128)).astype(np.float32))
    (tmp_path / "model.dcz").write_bytes(dumps(compressed()))
    return tmp_path


def test_the_page_has_examples() -> None:
    assert len(COMMANDS) == 10
    assert len(PROGRAMS) == 1


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_writes_its_file(
    line: str, place: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    name, *arguments = line.split()
    command(name, *arguments, cwd=place)
    written = place / arguments[arguments.index("-o") + 1]
    if written.suffix == ".dcz":
        assert load(written).coded
    else:
        onnx.checker.check_model(str(written), full_check=True)


def test_the_program_of_the_page_runs(place: Path) -> None:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[0]], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after, _ = done.stdout.split()
    assert int(after) < int(before) / 4
