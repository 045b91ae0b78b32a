"""onnxruntime-web in a real headless Chromium: the self-decoding files load there and give the dense file's numbers."""

from typing import Any

import numpy as np
import pytest
from onnx_models import compressed

from benchmarks.onnx_browser import find_browser, find_onnxruntime_web, run_in_browser
from export import TARGETS

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("onnx-dense", {}),
    "onnx": ("onnx", {}),
    "onnx in lanes": ("onnx", {"max_load_memory": 2_300_000}),
    "onnx in phases": ("onnx", {"max_load_memory": 1_300_000}),
    "onnx in lanes, plain nodes": ("onnx", {"max_load_memory": 2_300_000, "functions": False}),
    "onnx-fixed": ("onnx-fixed", {}),
}


def test_a_browser_loads_every_kind_of_file_and_gives_the_same_numbers() -> None:
    dist, browser = find_onnxruntime_web(), find_browser()
    if dist is None:
        pytest.skip(
            "the npm package onnxruntime-web is not installed (npm install onnxruntime-web, or ONNXRUNTIME_WEB)"
        )
    if browser is None:
        pytest.skip("no chromium on the path (apt-get install chromium)")
    model = compressed()
    files = {
        name: TARGETS[target].dumps(model, stem="m", **options)[".onnx"] for name, (target, options) in WAYS.items()
    }
    image = np.random.default_rng(1).random((1, 1, 32, 32)).astype(np.float32)
    results = run_in_browser(files, image, browser=browser, dist=dist)
    assert list(results) == list(WAYS)
    dense = np.float32(results["dense"]["logits"])
    assert np.isfinite(dense).all()
    assert np.abs(dense).max() > 0
    for name in WAYS:
        assert np.float32(results[name]["logits"]).tobytes() == dense.tobytes(), name
