"""`bench layers`: every fully connected layer alone, dense against CSR, and the density at which CSR overtakes.

Han, Mao and Dally, Deep Compression (2016), section 6.3 and figures 9 and 10,
time the layers of pruned AlexNet and VGG-16 one by one. The pruned networks
are not at hand, so the paper's shapes and densities stand here with random
weights: the time of these kernels depends on where the nonzeros lie, not on
their values, and trained nonzeros lie less evenly than random ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.environment import environment
from bench.errors import BenchError
from bench.graphs.read import read_graph
from bench.layers.kernels import KERNELS, Kernel, random_csr
from bench.layers.values import PAPER_LAYERS, Crossover, FullyConnected, LayerMeasurement, LayersConfig, LayersReport
from bench.progress import Progress, Steps
from bench.runtimes.base import missing_cuda
from bench.summary import UNSTABLE_RULE, summarise
from bench.timing import time_calls

__all__ = ["PAPER_LAYERS", "FullyConnected", "LayersConfig", "LayersReport", "layers_of_onnx", "measure_layers"]

_TOLERANCE = 1e-4
"""Largest difference of two kernels over the largest output: sums of 25,000 float32 products in another order differ by
a tenth of it."""

_LOWEST_DENSITY, _HIGHEST_DENSITY = 1e-3, 0.5
"""Where the crossover is looked for; CSR with int32 indices takes as many bytes as dense weights at one half."""

_CROSSOVER_ROUNDS = 3
"""Fewest whose median leaves out one round that the machine disturbed."""

_CROSSOVER_CALLS, _CROSSOVER_SHARE = 50, 1 / 20
"""Calls of a round at most, and their share of the time that a measured layer has: a search has a score of rounds, and
a median of 50 is steady enough to tell which is faster."""

_CROSSOVER_FACTOR = 1.1
"""The density is found to within this factor: machines and repetitions differ by more, and every halving of it costs
another matrix."""


def layers_of_onnx(path: Path) -> tuple[FullyConnected, ...]:
    """The fully connected layers of a plain ONNX file with their real weights.

    Raises
    ------
    BenchError
        There is none.
    """
    graph = read_graph(path)
    layers = []
    for node in graph.nodes:
        weight = graph.constants.get(node.inputs[1]) if node.op in ("Gemm", "MatMul") else None
        if weight is None or weight.ndim != 2:
            continue
        weight = weight if node.attributes.get("transB", 0) else weight.T
        matrix = np.array(weight, dtype=np.float32, order="C")
        layers.append(
            FullyConnected(
                network=path.stem,
                name=node.inputs[1].removesuffix(".weight"),
                inputs=matrix.shape[1],
                outputs=matrix.shape[0],
                density=float(np.count_nonzero(matrix)) / matrix.size,
                weight=matrix,
            )
        )
    if not layers:
        raise BenchError(f"{path.name}: found no fully connected layer, allowed a network with Gemm or MatMul")
    return tuple(layers)


def measure_layers(config: LayersConfig, progress: Progress | None = None) -> LayersReport:
    """Time every layer dense and as CSR, the kernels taking turns in rounds, and find where sparse overtakes dense.

    Parameters
    ----------
    config : LayersConfig
    progress : callable, optional
        Called with (done, total, label).

    Returns
    -------
    LayersReport

    Raises
    ------
    BenchError
        There is no GPU for device cuda.
    """
    if config.device == "cuda" and (reason := missing_cuda()):
        raise BenchError(f"device cuda: {reason}, allowed cpu")
    import torch

    described = environment()
    kernels = {name: kernel for name, kernel in KERNELS.items() if config.device in kernel.devices}
    shapes = tuple(dict.fromkeys((layer.inputs, layer.outputs) for layer in config.layers))
    sparse = [name for name, kernel in kernels.items() if not kernel.dense]
    searches = len(shapes) * len(config.batch_sizes) * len(sparse) if config.crossover else 0
    steps = Steps(len(config.layers) * len(config.batch_sizes) + searches, progress)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        measurements: list[LayerMeasurement] = []
        for layer in config.layers:
            for batch_size in config.batch_sizes:
                steps.take(f"{layer.label}, batch {batch_size}")
                measurements += _measure_layer(config, kernels, layer, batch_size)
        crossovers = []
        for inputs, outputs in shapes if config.crossover else ():
            for batch_size in config.batch_sizes:
                for name in sparse:
                    steps.take(f"crossover of {name}, {inputs}×{outputs}, batch {batch_size}")
                    crossovers.append(_find_crossover(config, kernels, name, inputs, outputs, batch_size))
    finally:
        torch.set_num_threads(threads)
    steps.take("done")
    return LayersReport(
        settings=config.settings(),
        unstable_rule=UNSTABLE_RULE,
        environment=described,
        measurements=tuple(measurements),
        crossovers=tuple(crossovers),
    )


def _measure_layer(
    config: LayersConfig, kernels: Mapping[str, Kernel], layer: FullyConnected, batch_size: int
) -> list[LayerMeasurement]:
    import scipy.sparse

    rng = np.random.default_rng(config.seed)
    if layer.weight is None:
        csr = random_csr(layer.outputs, layer.inputs, layer.density, rng)
    else:
        csr = scipy.sparse.csr_matrix(layer.weight)
    x = rng.standard_normal((batch_size, layer.inputs), dtype=np.float32)
    expected: NDArray[np.float32] | None = None
    ready: dict[str, tuple[LayerMeasurement, Callable[[], object], int]] = {}
    results: dict[str, LayerMeasurement] = {}
    for name, kernel in kernels.items():
        call, read, weight_bytes = kernel.make(csr, x, config.device, config.threads)
        call()
        output = read()
        expected = output if expected is None else expected
        blank = LayerMeasurement(
            network=layer.network,
            layer=layer.name,
            inputs=layer.inputs,
            outputs=layer.outputs,
            density=layer.density,
            weights="random" if layer.weight is None else "given",
            batch_size=batch_size,
            kernel=name,
            status="measured",
            weight_bytes=weight_bytes,
        )
        scale = float(np.abs(expected).max(initial=0.0)) or 1.0
        error = float(np.abs(output - expected).max(initial=0.0)) / scale
        if error > _TOLERANCE:
            reason = f"output: found a difference of {error:.2g} from the dense one, allowed {_TOLERANCE:g}"
            results[name] = replace(blank, status="disagrees", reason=reason)
            continue
        once = float(np.median(time_calls(call, max(1, config.warm_up))))
        calls = int(min(config.max_calls, config.max_seconds * 1e9 / max(once, 1.0))) // config.rounds
        ready[name] = (blank, call, max(1, calls))
    taken: dict[str, list[NDArray[np.int64]]] = {name: [] for name in ready}
    for _ in range(config.rounds):
        for name, (_blank, call, calls) in ready.items():
            call()
            taken[name].append(time_calls(call, calls))
    for name, (blank, _call, _calls) in ready.items():
        rounds = np.stack(taken[name])
        results[name] = replace(blank, latency_ns=rounds, summary=summarise(rounds, batch_size))
    dense = [item.summary.p50_ns for name, item in results.items() if kernels[name].dense and item.summary]
    return [_with_speedup(results[name], min(dense, default=None)) for name in kernels]


def _with_speedup(measurement: LayerMeasurement, dense_ns: float | None) -> LayerMeasurement:
    if measurement.summary is None or dense_ns is None:
        return measurement
    return replace(measurement, speedup=dense_ns / measurement.summary.p50_ns)


def _find_crossover(
    config: LayersConfig, kernels: Mapping[str, Kernel], name: str, inputs: int, outputs: int, batch_size: int
) -> Crossover:
    """Bisect the density, geometrically: a CSR product's time grows with it, the dense one's does not."""
    rng = np.random.default_rng(config.seed)
    x = rng.standard_normal((batch_size, inputs), dtype=np.float32)
    result = Crossover(inputs=inputs, outputs=outputs, batch_size=batch_size, kernel=name, density=None)
    some = random_csr(outputs, inputs, 0.01, rng)
    dense = [kernel.make(some, x, config.device, config.threads)[0] for kernel in kernels.values() if kernel.dense]

    def wins(density: float) -> bool:
        call, _, _ = kernels[name].make(random_csr(outputs, inputs, density, rng), x, config.device, config.threads)
        functions = (call, *dense)
        times: list[list[float]] = [[] for _ in functions]
        counts = []
        for function in functions:
            function()
            once = int(time_calls(function, 1)[0])
            counts.append(
                int(min(_CROSSOVER_CALLS, max(1, config.max_seconds * 1e9 * _CROSSOVER_SHARE / max(once, 1))))
            )
        for _ in range(_CROSSOVER_ROUNDS):
            for function, count, taken in zip(functions, counts, times, strict=True):
                taken.append(float(np.median(time_calls(function, count))))
        sparse_ns, *dense_ns = (float(np.median(taken)) for taken in times)
        return sparse_ns < min(dense_ns)

    low, high = max(_LOWEST_DENSITY, 1 / (inputs * outputs)), _HIGHEST_DENSITY
    if not wins(low):
        return result
    if wins(high):
        return replace(result, density=high)
    while high / low > _CROSSOVER_FACTOR:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if wins(middle) else (low, middle)
    return replace(result, density=float(np.sqrt(low * high)))
