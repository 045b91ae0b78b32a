"""Every runtime on every kind of network: it agrees with stock onnxruntime, or it is skipped with its own reason."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_models import onnx_model

from bench.errors import BenchError
from bench.graphs.read import plain_file, read_model
from bench.latency.measure import measure_latency
from bench.latency.values import BenchFile, LatencyConfig, LatencyReport, Measurement
from bench.runtimes import RUNTIMES
from bench.runtimes.base import missing_cuda
from compress.graph import graph_of_zoo

NETWORKS = ("lenet-5", "mixed", "mobile", "decoding")
BATCH = 2


def _lenet_5(rng: np.random.Generator) -> onnx.ModelProto:
    graph = graph_of_zoo("lenet-5")
    weights = {}
    for name, shape in graph.parameters.items():
        weight = rng.standard_normal(shape, dtype=np.float32) / np.sqrt(np.prod(shape[1:], dtype=np.float32))
        weights[name] = weight * (rng.random(shape) < 0.2) if len(shape) > 1 else weight
    return graph.model(weights)


def _model(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[int], out: int, **more: Any
) -> onnx.ModelProto:
    return onnx_model(nodes, constants, inputs={"x": ["batch", *shape]}, outputs={"y": ["batch", out]}, **more)


def _mixed(rng: np.random.Generator) -> onnx.ModelProto:
    """Pads, strides, groups, a residual, a concatenation, both pools, batch-norm and the activations."""

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32) / np.sqrt(np.prod(shape[1:], dtype=np.float32))

    constants = {
        "w1": normal(4, 3, 3, 3), "b1": normal(4), "w2": normal(4, 1, 3, 3), "w3": normal(6, 8, 2, 2), "b3": normal(6),
        "scale": np.abs(normal(4)) + 0.5, "shift": normal(4), "mean": normal(4), "variance": np.abs(normal(4)) + 0.5,
        "w4": normal(24, 7), "b4": normal(7), "w5": normal(7, 5),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n1"]),
        node("LeakyRelu", ["n1"], ["a1"], alpha=0.1),
        node("Conv", ["a1", "w2"], ["c2"], pads=[1, 1, 1, 1], group=4),
        node("Add", ["c2", "a1"], ["s2"]),
        node("Relu", ["s2"], ["a2"]),
        node("Concat", ["a1", "a2"], ["k"], axis=1),
        node("MaxPool", ["k"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p", "w3", "b3"], ["c3"]),
        node("Tanh", ["c3"], ["a3"]),
        node("AveragePool", ["a3"], ["v"], kernel_shape=[2, 2], strides=[1, 1]),
        node("Flatten", ["v"], ["f"]),
        node("Gemm", ["f", "w4", "b4"], ["g"]),
        node("Sigmoid", ["g"], ["h"]),
        node("MatMul", ["h", "w5"], ["m"]),
        node("LogSoftmax", ["m"], ["y"], axis=1),
    ]
    return _model(nodes, constants, [3, 16, 16], 5)


def _mobile(rng: np.random.Generator) -> onnx.ModelProto:
    """What small mobile networks add: Clip in both forms, a strided depthwise convolution, a mean over the image."""
    constants = {
        "w1": rng.standard_normal((6, 3, 1, 1), dtype=np.float32),
        "b1": rng.standard_normal(6, dtype=np.float32),
        "w2": rng.standard_normal((6, 1, 3, 3), dtype=np.float32) / 3,
        "w3": rng.standard_normal((4, 6), dtype=np.float32),
        "zero": np.array(0, dtype=np.float32),
        "six": np.array(6, dtype=np.float32),
        "low": np.array(-0.5, dtype=np.float32),
        "high": np.array(0.75, dtype=np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"]),
        node("Clip", ["c1", "zero", "six"], ["a1"]),
        node("Conv", ["a1", "w2"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2], group=6),
        node("Clip", ["c2", "low", "high"], ["a2"]),
        node("ReduceMean", ["a2"], ["m"], axes=[2, 3], keepdims=0),
        node("Gemm", ["m", "w3"], ["g"], transB=1),
        node("Softmax", ["g"], ["y"], axis=1),
    ]
    return _model(nodes, constants, [3, 8, 8], 4)


def _decoding(rng: np.random.Generator, *, function: bool = False) -> onnx.ModelProto:
    """A weight that is looked up in a codebook when the file is loaded, on request inside a function."""
    constants = {
        "codes": rng.integers(0, 8, (5, 12), dtype=np.int64),
        "codebook": rng.standard_normal(8, dtype=np.float32),
        "b": rng.standard_normal(5, dtype=np.float32),
    }
    lookup = helper.make_function(
        "local",
        "Lookup",
        ["table", "index"],
        ["weight"],
        [helper.make_node("Gather", ["table", "index"], ["weight"])],
        [helper.make_opsetid("", 17)],
    )
    nodes = [
        helper.make_node("Lookup", ["codebook", "codes"], ["w"], domain="local")
        if function
        else helper.make_node("Gather", ["codebook", "codes"], ["w"]),
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    return _model(nodes, constants, [12], 5, functions=[lookup] if function else [])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[BenchFile, ...]:
    folder, rng = tmp_path_factory.mktemp("networks"), np.random.default_rng(7)
    models = (_lenet_5(rng), _mixed(rng), _mobile(rng), _decoding(rng))
    for name, model in zip(NETWORKS, models, strict=True):
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, folder / f"{name}.onnx")
    return tuple(BenchFile(name, folder / f"{name}.onnx") for name in NETWORKS)


def _measured(files: tuple[BenchFile, ...], device: str) -> LatencyReport:
    return measure_latency(
        LatencyConfig(
            files=files,
            runtimes=("all",),
            batch_sizes=(BATCH,),
            device=device,
            warm_up=1,
            iterations=2,
            rounds=1,
            max_seconds=2,
        )
    )


@pytest.fixture(scope="module")
def on_cpu(files: tuple[BenchFile, ...]) -> LatencyReport:
    return _measured(files, "cpu")


@pytest.fixture(scope="module")
def on_gpu(files: tuple[BenchFile, ...]) -> LatencyReport:
    if reason := missing_cuda():
        pytest.skip(f"no GPU: {reason}")
    return _measured(files, "cuda")


def _check(report: LatencyReport, runtime: str, network: str) -> None:
    found: list[Measurement] = [m for m in report.measurements if (m.runtime, m.label) == (runtime, network)]
    (measurement,) = found
    if measurement.status == "unavailable":
        assert RUNTIMES[runtime].available(report.settings.device) == measurement.reason
        pytest.skip(f"{runtime}: {measurement.reason}")
    assert measurement.status == "measured", measurement.reason
    assert measurement.error is not None
    assert measurement.error <= RUNTIMES[runtime].tolerance


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "runtime", [name for name, item in RUNTIMES.items() if "cpu" in item.devices and ".onnx" in item.suffixes]
)
def test_agrees_on_the_cpu(on_cpu: LatencyReport, runtime: str, network: str) -> None:
    _check(on_cpu, runtime, network)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("runtime", [name for name, item in RUNTIMES.items() if "cuda" in item.devices])
def test_agrees_on_the_gpu(on_gpu: LatencyReport, runtime: str, network: str) -> None:
    _check(on_gpu, runtime, network)


@pytest.mark.parametrize("name", RUNTIMES)
def test_says_what_it_is(name: str) -> None:
    runtime = RUNTIMES[name]
    assert runtime.summary
    assert "\n" not in runtime.summary
    assert set(runtime.devices) <= {"cpu", "cuda"}
    assert runtime.devices
    assert all(suffix.startswith(".") for suffix in runtime.suffixes)
    for device in runtime.devices:
        reason = runtime.available(device)
        assert reason is None or (reason and "\n" not in reason)


@pytest.mark.parametrize("network", ["lenet-5", "mixed", "mobile"])
def test_a_plain_file_keeps_its_operators(files: tuple[BenchFile, ...], network: str, tmp_path: Path) -> None:
    path = next(item.path for item in files if item.label == network)
    plain = read_model(plain_file(path, tmp_path, BATCH))
    assert [node.op_type for node in plain.graph.node] == [node.op_type for node in read_model(path).graph.node]
    assert plain.graph.input[0].type.tensor_type.shape.dim[0].dim_value == BATCH


@pytest.mark.parametrize("function", [False, True])
def test_a_decoding_file_becomes_dense(function: bool, tmp_path: Path) -> None:
    onnx.save(_decoding(np.random.default_rng(1), function=function), tmp_path / "decoding.onnx")
    plain = read_model(plain_file(tmp_path / "decoding.onnx", tmp_path, BATCH))
    assert [node.op_type for node in plain.graph.node] == ["Gemm", "Relu"]
    assert not plain.functions


def test_another_fixed_batch_size_is_refused(files: tuple[BenchFile, ...], tmp_path: Path) -> None:
    plain = plain_file(files[0].path, tmp_path, 3)
    with pytest.raises(BenchError, match=r"^plain\.onnx: found a fixed batch size of 3, allowed 4$"):
        plain_file(plain, tmp_path, 4)
