"""Small graphs, and what a program of the target `c` made of them computes."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from c_programs import build, execute, reference, write_program
from onnx import helper
from onnx_models import onnx_model

from export.c import emit

__all__ = ["COMPILERS", "compiled", "model", "node"]

COMPILERS = ("gcc", "clang")


def model(
    *nodes: onnx.NodeProto,
    shape: tuple[Any, ...] = ("batch", 2, 4, 4),
    opset: int = 17,
    **weights: np.ndarray[Any, Any],
) -> onnx.ModelProto:
    return onnx_model(nodes, weights, inputs={"input": shape}, outputs={"output": None}, opset=opset)


def node(op: str, *inputs: str, output: str = "output", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), [output], name="n" if output == "output" else output, **attributes)


def compiled(
    proto: onnx.ModelProto,
    x: np.ndarray[Any, Any],
    folder: Path,
    flags: tuple[str, ...] = (),
    text: str = "",
    **options: str,
) -> np.ndarray[Any, Any]:
    """The result of a generated program, or of `text` in its place, by the first compiler there is."""
    compiler = next((c for c in COMPILERS if shutil.which(c)), None)
    if compiler is None:
        pytest.skip("found no C compiler")
    files = dict(emit(proto, stem="m", **options))
    if text:
        files[".c"] = text.encode()
    sources = write_program(folder, {"m": files}, len(x))
    build(compiler, sources, folder / "program", ("-O1", *flags))
    wanted = reference(proto, x)
    ((single, batch),) = execute([str(folder / "program")], [x], [wanted[0].size])
    assert np.allclose(single, batch, atol=1e-6)
    return single.reshape(wanted.shape)
