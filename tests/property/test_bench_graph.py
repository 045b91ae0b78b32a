"""Random convolutions, pools and products: torch, CSR and NumPy give what stock onnxruntime gives."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_models import onnx_model

from bench.errors import BenchError
from bench.graphs.numpy_function import numpy_function
from bench.graphs.read import PlainGraph, read_graph
from bench.graphs.torch_module import torch_module
from bench.runtimes import RUNTIMES, LoadOptions
from bench.runtimes.onnxruntime import reference


@st.composite
def conv_networks(draw: st.DrawFn) -> tuple[onnx.ModelProto, np.ndarray]:
    """Convolution, activation and pool with any stride, pad, dilation, group and density, 0 and 1 included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = draw(st.integers(1, 3))
    inner, outer = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    dilations = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    strides = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    pads = [draw(st.integers(0, 2)) for _ in range(4)]
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    size = [draw(st.integers(7, 9)), draw(st.integers(7, 9))]
    batch = draw(st.integers(1, 3))
    weight = rng.standard_normal((outer * groups, inner, *kernel), dtype=np.float32)
    weight *= rng.random(weight.shape) < density
    constants = {"w": weight, "b": rng.standard_normal(outer * groups, dtype=np.float32)}
    inputs = ["x", "w", "b"] if draw(st.booleans()) else ["x", "w"]
    convolution = {"pads": pads, "strides": strides, "dilations": dilations, "group": groups}
    nodes = [helper.make_node("Conv", inputs, ["c"], **convolution)]
    activation = draw(st.sampled_from(["Relu", "LeakyRelu", "Tanh", "Sigmoid", "Clip"]))
    constants["low"] = np.array(-0.25, dtype=np.float32)
    bounds = ["low", ""] if activation == "Clip" else []
    nodes.append(helper.make_node(activation, ["c", *bounds], ["a"]))
    pool = draw(st.sampled_from(["MaxPool", "AveragePool", "GlobalAveragePool"]))
    window: dict[str, Any] = {} if pool == "GlobalAveragePool" else {"kernel_shape": [2, 2], "strides": strides}
    if pool != "GlobalAveragePool" and draw(st.booleans()):
        window["pads"] = [1, 1, 1, 1]
    if pool == "AveragePool":
        window["count_include_pad"] = draw(st.integers(0, 1))
    nodes += [helper.make_node(pool, ["a"], ["p"], **window), helper.make_node("Flatten", ["p"], ["y"])]
    x = rng.standard_normal((batch, inner * groups, *size), dtype=np.float32)
    return _model(nodes, constants, x.shape), x


@st.composite
def dense_networks(draw: st.DrawFn) -> tuple[onnx.ModelProto, np.ndarray]:
    """Gemm in both layouts with its factors, MatMul, and a softmax."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch, inner, middle, outer = (draw(st.integers(1, 5)) for _ in range(4))
    density = draw(st.sampled_from([0.0, 0.3, 1.0]))
    transposed = draw(st.integers(0, 1))
    shape = (middle, inner) if transposed else (inner, middle)
    constants = {
        "w": rng.standard_normal(shape, dtype=np.float32) * (rng.random(shape) < density),
        "b": rng.standard_normal(draw(st.sampled_from([1, middle])), dtype=np.float32),
        "v": rng.standard_normal((middle, outer), dtype=np.float32),
    }
    factors = {"alpha": draw(st.sampled_from([1.0, 0.5])), "beta": draw(st.sampled_from([1.0, 2.0]))}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["g"], transB=transposed, **factors),
        helper.make_node("MatMul", ["g", "v"], ["m"]),
        helper.make_node(draw(st.sampled_from(["Softmax", "LogSoftmax"])), ["m"], ["y"], axis=1),
    ]
    x = rng.standard_normal((batch, inner), dtype=np.float32)
    return _model(nodes, constants, x.shape), x


def _model(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: tuple[int, ...]) -> onnx.ModelProto:
    stored = {name: array.astype(np.float32) for name, array in constants.items()}
    return onnx_model(nodes, stored, inputs={"x": shape}, outputs={"y": None})


def _expected(model: onnx.ModelProto, x: np.ndarray) -> tuple[PlainGraph, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.onnx"
        onnx.save(model, path)
        return read_graph(path), reference(path, x)


@pytest.mark.parametrize("networks", [conv_networks(), dense_networks()], ids=["conv", "dense"])
def test_all_interpreters_agree_with_onnxruntime(networks: st.SearchStrategy[Any]) -> None:
    import torch

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(networks)
    def check(drawn: tuple[onnx.ModelProto, np.ndarray]) -> None:
        model, x = drawn
        graph, expected = _expected(model, x)
        with torch.inference_mode():
            found = {
                "torch": torch_module(graph)(torch.from_numpy(x)).numpy(),
                "torch-csr": torch_module(graph, sparse=True)(torch.from_numpy(x)).numpy(),
            }
        found["numpy"] = numpy_function(graph, np.asarray)(x)
        found["scipy-csr"] = numpy_function(graph, scipy.sparse.csr_matrix)(x)
        for name, output in found.items():
            assert output.dtype == np.float32, name
            np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5, err_msg=name)

    check()


@pytest.mark.skipif(RUNTIMES["litert"].available("cpu") is not None, reason=str(RUNTIMES["litert"].available("cpu")))
@pytest.mark.parametrize("networks", [conv_networks(), dense_networks()], ids=["conv", "dense"])
def test_the_tflite_that_we_write_agrees_with_onnxruntime(networks: st.SearchStrategy[Any]) -> None:
    litert = RUNTIMES["litert"]
    refusals = ("Conv: found ", "AveragePool: found pads that are not counted")
    measured = 0

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(networks)
    def check(drawn: tuple[onnx.ModelProto, np.ndarray]) -> None:
        nonlocal measured
        model, x = drawn
        _, expected = _expected(model, x)
        options = LoadOptions(x, threads=1, device="cpu")
        assert litert.prepare is not None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "random.onnx"
            onnx.save(model, path)
            try:
                session = litert.load(litert.prepare(path, Path(folder), options), options)
            except BenchError as error:
                assert str(error).startswith(refusals), error  # noqa: PT017 - a refusal is one of those
                return
            session.call()
            np.testing.assert_allclose(session.read(), expected, rtol=1e-4, atol=1e-5)
            measured += 1

    check()
    assert measured > 20
