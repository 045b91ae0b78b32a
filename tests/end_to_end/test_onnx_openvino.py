"""OpenVINO reads the files of plain nodes and gives the dense file's numbers; model-local functions it refuses."""

from typing import Any

import numpy as np
import pytest
from onnx_models import compressed

from export import TARGETS

openvino = pytest.importorskip("openvino", reason="openvino is not installed (pip install openvino)")

PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "onnx": ("onnx", {}),
    "onnx in lanes, plain nodes": ("onnx", {"max_load_memory": 2_300_000, "functions": False}),
    "onnx-fixed": ("onnx-fixed", {}),
}


def run(target: str, options: dict[str, Any]) -> np.ndarray:
    content = TARGETS[target].dumps(compressed(), stem="model", **options)[".onnx"]
    core = openvino.Core()
    # Without the hint a processor with bfloat16 instructions computes the network in it.
    compiled = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = np.random.default_rng(1).random((2, 1, 32, 32)).astype(np.float32)
    [output] = compiled([image]).values()
    return np.array(output)


@pytest.mark.parametrize("way", PLAIN)
def test_openvino_gives_the_dense_files_numbers(way: str) -> None:
    wanted = run("onnx-dense", {})
    assert np.abs(wanted).max() > 0
    assert run(*PLAIN[way]).tobytes() == wanted.tobytes()


def test_openvino_refuses_model_local_functions_with_a_clear_word() -> None:
    with pytest.raises(RuntimeError, match=r"No conversion rule found for operations: a\.s"):
        run("onnx", {"max_load_memory": 2_300_000})
