"""`bench layers` on layers small enough to check: exact densities, agreement, the search for the crossover."""

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_models import onnx_model
from rich.console import Console

import bench.layers.measure
from bench.errors import BenchError, BenchUsageError
from bench.layers.kernels import KERNELS, Kernel, random_csr
from bench.layers.measure import layers_of_onnx, measure_layers
from bench.layers.tables import render_layers
from bench.layers.values import PAPER_LAYERS, FullyConnected, LayersConfig
from bench.runtimes.base import missing_cuda

SMALL = FullyConnected(network="toy", name="fc", inputs=40, outputs=30, density=0.1)
FAST = {"warm_up": 1, "rounds": 2, "max_seconds": 0.02, "max_calls": 6}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_random_weights_have_exactly_the_density(rows: int, columns: int, density: float, seed: int) -> None:
    csr = random_csr(rows, columns, density, np.random.default_rng(seed))
    assert csr.nnz == round(density * rows * columns)
    assert csr.has_canonical_format
    assert (csr.dtype, csr.indices.dtype, csr.shape) == (np.float32, np.int32, (rows, columns))
    again = random_csr(rows, columns, density, np.random.default_rng(seed))
    assert (csr != again).nnz == 0


def test_random_places_are_spread_evenly() -> None:
    csr = random_csr(200, 100, 0.25, np.random.default_rng(1))
    rows = np.diff(csr.indptr)
    columns = np.bincount(csr.indices, minlength=100)
    assert abs(rows.std() / np.sqrt(100 * 0.25 * 0.75) - 1) < 0.25
    assert abs(columns.std() / np.sqrt(200 * 0.25 * 0.75) - 1) < 0.25


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("density", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_is_the_product(name: str, density: float, batch: int) -> None:
    if "cpu" not in KERNELS[name].devices:
        pytest.skip(f"{name} needs a GPU: {missing_cuda()}")
    rng = np.random.default_rng(3)
    csr = random_csr(12, 7, density, rng)
    x = rng.standard_normal((batch, 7), dtype=np.float32)
    call, read, weight_bytes = KERNELS[name].make(csr, x, "cpu", 1)
    call()
    np.testing.assert_allclose(read(), x @ csr.toarray().T, rtol=1e-5, atol=1e-5)
    assert weight_bytes == (12 * 7 * 4 if KERNELS[name].dense else csr.nnz * 8 + 13 * 4)


@pytest.mark.skipif(missing_cuda() is not None, reason=f"no GPU: {missing_cuda()}")
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if "cuda" in kernel.devices])
def test_every_kernel_is_the_product_on_the_gpu(name: str, batch: int) -> None:
    rng = np.random.default_rng(3)
    csr = random_csr(12, 7, 0.3, rng)
    x = rng.standard_normal((batch, 7), dtype=np.float32)
    call, read, _ = KERNELS[name].make(csr, x, "cuda", 1)
    call()
    np.testing.assert_allclose(read(), x @ csr.toarray().T, rtol=1e-5, atol=1e-5)


def test_layers_are_measured_and_compared_with_the_fastest_dense_kernel() -> None:
    config = LayersConfig(layers=(SMALL,), batch_sizes=(1, 4), crossover=False, **FAST)
    steps: list[int] = []
    report = measure_layers(config, lambda done, total, label: steps.append(done))
    assert [(m.kernel, m.batch_size) for m in report.measurements] == [(n, b) for b in (1, 4) for n in KERNELS]
    for batch in (1, 4):
        of_batch = [m for m in report.measurements if m.batch_size == batch]
        fastest = min(m.summary.p50_ns for m in of_batch if KERNELS[m.kernel].dense and m.summary)
        for m in of_batch:
            assert m.summary is not None
            assert m.speedup == pytest.approx(fastest / m.summary.p50_ns)
    assert steps == [0, 1, 2]
    values = json.loads(json.dumps(report.to_json()))
    assert values["measurements"][0]["weights"] == "random"
    assert len(values["measurements"][0]["latency_ns"]) == 2
    console = Console(width=200, record=True, file=StringIO())
    console.print(render_layers(report))
    assert "toy fc 40×30" in console.export_text()


def _fake(monkeypatch: pytest.MonkeyPatch, sparse_ns: Callable[[float], float]) -> None:
    """Kernels whose time is a function of the density, and no clock."""

    def make(kind: str) -> Kernel:
        def made(csr: scipy.sparse.csr_matrix, x: np.ndarray, device: str, threads: int) -> object:
            density = csr.nnz / (csr.shape[0] * csr.shape[1])

            def call() -> float:
                return 100.0 if kind == "dense" else sparse_ns(density)

            return call, lambda: np.zeros((1, 1), dtype=np.float32), 1

        return Kernel(kind, ("cpu",), kind == "dense", made)

    monkeypatch.setattr(bench.layers.measure, "KERNELS", {"dense": make("dense"), "sparse": make("sparse")})
    monkeypatch.setattr(
        bench.layers.measure, "time_calls", lambda call, count: np.full(count, call(), dtype=np.float64)
    )


@pytest.mark.parametrize(
    ("sparse_ns", "low", "high"),
    [(lambda d: 1000 * d, 0.095, 0.105), (lambda d: 250 * d, 0.38, 0.42), (lambda d: 50.0, 0.5, 0.5)],
)
def test_the_crossover_is_found_within_its_factor(
    sparse_ns: Callable[[float], float], low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake(monkeypatch, sparse_ns)
    report = measure_layers(LayersConfig(layers=(SMALL, SMALL), batch_sizes=(1,), **FAST))
    (found,) = report.crossovers
    assert (found.inputs, found.outputs, found.kernel) == (40, 30, "sparse")
    assert found.density is not None
    assert low <= found.density <= high


def test_where_sparse_never_wins_there_is_no_crossover(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, lambda density: 200.0)
    report = measure_layers(LayersConfig(layers=(SMALL,), batch_sizes=(1,), **FAST))
    assert report.crossovers[0].density is None


def test_the_papers_layers() -> None:
    assert [(p.inputs, p.outputs, p.density) for p in PAPER_LAYERS if p.network == "VGG-16"] == [
        (25088, 4096, 0.04),
        (4096, 4096, 0.04),
        (4096, 1000, 0.23),
    ]
    assert all(layer.weight is None for layer in PAPER_LAYERS)


def test_layers_of_a_file_keep_their_weights(tmp_path: Path) -> None:
    weight = np.array([[0, 1, 0], [2, 0, 0]], dtype=np.float32)
    nodes = [
        helper.make_node("Gemm", ["x", "fc.weight"], ["h"], transB=1),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    stored = {"fc.weight": weight, "v": np.ones((2, 5), dtype=np.float32)}
    model = onnx_model(nodes, stored, inputs={"x": ["batch", 3]}, outputs={"y": ["batch", 5]})
    onnx.save(model, tmp_path / "net.onnx")
    first, second = layers_of_onnx(tmp_path / "net.onnx")
    assert (first.label, first.density, first.weight is not None) == ("net fc 3×2", 2 / 6, True)
    np.testing.assert_array_equal(first.weight, weight)
    assert (second.inputs, second.outputs, second.density) == (2, 5, 1.0)
    report = measure_layers(LayersConfig(layers=(first,), batch_sizes=(2,), crossover=False, **FAST))
    assert {m.status for m in report.measurements} == {"measured"}
    assert report.to_json()["measurements"][0]["weights"] == "given"


def test_a_file_without_such_layers_is_refused(tmp_path: Path) -> None:
    shape = ["batch", 3]
    model = onnx_model([helper.make_node("Relu", ["x"], ["y"])], inputs={"x": shape}, outputs={"y": shape})
    onnx.save(model, tmp_path / "net.onnx")
    message = "net.onnx: found no fully connected layer, allowed a network with Gemm or MatMul"
    with pytest.raises(BenchError, match=f"^{message}$"):
        layers_of_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ()}, "layers: found none, allowed at least one fully connected layer"),
        ({"batch_sizes": (1, 0)}, "batch sizes: found [1, 0], allowed 1 and up"),
        ({"rounds": 0}, "rounds: found 0, allowed 1 and up"),
        ({"max_seconds": 0.0}, "max_seconds: found 0.0, allowed above 0"),
        ({"device": "mps"}, "device: found mps, allowed cpu or cuda"),
        (
            {"layers": (FullyConnected(network="n", name="f", inputs=1, outputs=2, density=1.5),)},
            "n f 1×2: found a density of 1.5, allowed 0 to 1",
        ),
    ],
)
def test_options_outside_what_is_allowed(change: dict[str, object], message: str) -> None:
    with pytest.raises(BenchUsageError, match=f"^{re.escape(message)}$"):
        LayersConfig(**{**FAST, **change})


@pytest.mark.skipif(missing_cuda() is None, reason="there is a GPU here")
def test_without_a_gpu_device_cuda_is_one_line() -> None:
    with pytest.raises(BenchError, match=rf"^device cuda: {re.escape(str(missing_cuda()))}, allowed cpu$"):
        measure_layers(LayersConfig(device="cuda"))
