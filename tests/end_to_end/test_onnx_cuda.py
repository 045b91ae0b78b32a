"""The CUDA provider of onnxruntime, where there is one: decoded weights and outputs are the dense file's."""

import numpy as np
import onnxruntime
import pytest
from onnx_models import compressed

from export import TARGETS


@pytest.mark.parametrize("target", ["onnx", "onnx-fixed"])
def test_the_cuda_provider_gives_the_dense_files_numbers(target: str) -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime has no CUDA provider here (needs onnxruntime-gpu and a GPU)")
    model = compressed()
    image = np.random.default_rng(1).random((2, 1, 32, 32)).astype(np.float32)
    outputs = []
    for name in (target, "onnx-dense"):
        content = TARGETS[name].dumps(model, stem="model")[".onnx"]
        session = onnxruntime.InferenceSession(content, providers=["CUDAExecutionProvider"])
        assert session.get_providers()[0] == "CUDAExecutionProvider"
        outputs.append(session.run(None, {"input": image})[0])
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-3, atol=1e-3)
