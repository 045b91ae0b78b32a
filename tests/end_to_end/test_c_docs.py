"""The C program and the command of docs/c.md, as they stand there."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from c_programs import reference
from onnx_models import compressed

from export import TARGETS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "c.md").read_text("utf-8")


def test_the_example_compiles_and_classifies(tmp_path: Path) -> None:
    (program,) = re.findall(r"```c\n(.*?)```", TEXT, flags=re.DOTALL)
    (command,) = re.findall(r"```sh\n(.*?)\n```", TEXT, flags=re.DOTALL)
    if shutil.which(shlex.split(command)[0]) is None:
        pytest.skip("found no C compiler cc")
    model = compressed()
    (tmp_path / "main.c").write_text(program)
    for suffix, content in TARGETS["c"].dumps(model, stem="net").items():
        (tmp_path / f"net{suffix}").write_bytes(content)
    done = subprocess.run(shlex.split(command), cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    printed = subprocess.run([tmp_path / "classify"], capture_output=True, text=True, timeout=60, check=True).stdout
    proto = onnx.load_from_string(TARGETS["onnx-dense"].dumps(model)[".onnx"])
    logits = reference(proto, np.zeros((1, 1, 32, 32), dtype=np.float32))
    assert printed == f"{logits.argmax()}\n"


def test_every_option_and_operator_is_named() -> None:
    from export.c import UNROLL, WEIGHTS
    from export.c.graph.plan import OPERATORS

    for word in (*UNROLL, *WEIGHTS):
        assert f"`{word}`" in TEXT
    for operator in OPERATORS:
        assert re.search(rf"\b{operator}\b", TEXT), operator
