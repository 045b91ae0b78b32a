"""What the self-decoding ONNX targets cost and gain: bytes, load, memory, inference; and which runtimes fold them.

    python -m benchmarks.onnx_targets --json docs/results/onnx-targets.json

Networks with Laplace-distributed weights, pruned by magnitude and shared to evenly spaced centroids: their bytes and
seconds do not depend on training. Loads are measured on one core in processes of their own, the kinds of file in turns;
inference in one process, in turns, call by call. OpenVINO, and onnxruntime-web in a headless Chromium, are measured
where they are installed. What is printed is Markdown.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import keep
from benchmarks.onnx_browser import find_browser, find_onnxruntime_web, run_in_browser
from benchmarks.onnx_inference import inference_ns
from compress.graph import Graph, graph_of_zoo
from compress.packed.container import dumps as pack
from compress.representation import CodedTensor, CompressedModel, DenseTensor
from compress.rounding.feeds import load_feeds
from compress.rounding.probe import random_feeds, run_file
from export import TARGETS

__all__ = ["main", "network"]

_KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "onnx-dense": ("onnx-dense", {}),
    "onnx": ("onnx", {}),
    "onnx, no functions": ("onnx", {"functions": False}),
    "onnx-fixed": ("onnx-fixed", {}),
}

_REPEATS = 7
"""Odd, so that the median is one of them."""

_CASES: Mapping[str, tuple[str | tuple[int, ...], float, int]] = {
    "lenet-5": ("lenet-5", 0.9, 5),
    "lenet-5-caffe": ("lenet-5-caffe", 0.92, 5),
    "1 M symbols": ((1000, 2500, 1000), 0.9, 5),
    "25 M weights": ((2048, 4096, 3072, 1365), 0.9, 5),
}
"""Network or widths, sparsity, bits: those of the main job, but that Han et al. keep 8 % of Caffe's LeNet-5."""

_IN_BROWSER = {"lenet-5": (1, 1, 32, 32), "lenet-5-caffe": (1, 1, 28, 28)}
_OPENVINO = """
import sys, time, openvino
start = time.perf_counter()
core = openvino.Core()
compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_NUM_THREADS": 1})
seconds = time.perf_counter() - start
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
print(seconds, int(peak) * 1024)
"""


def network(where: str | tuple[int, ...], sparsity: float, bits: int) -> CompressedModel:
    """A network of ours, or one of linear layers of these widths, with weights that no one trained."""
    graph = graph_of_zoo(where) if isinstance(where, str) else _perceptron(where)
    generator = np.random.default_rng(0)
    tensors: list[CodedTensor | DenseTensor] = []
    for name, shape in graph.parameters.items():
        weights = generator.laplace(size=shape).astype(np.float32)
        if len(shape) < 2:
            tensors.append(DenseTensor(name, weights))
            continue
        present = np.abs(weights) > np.quantile(np.abs(weights), sparsity)
        values = weights[present]
        centroids = np.linspace(values.min(), values.max(), 2**bits).astype(np.float32)
        codes = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values).astype(np.uint8)
        tensors.append(CodedTensor.of_mask(name, present, codes, centroids, bits))
    return CompressedModel(graph, tuple(tensors))


def _perceptron(widths: tuple[int, ...]) -> Graph:
    from onnx import TensorProto, helper

    shapes = list(pairwise(widths))
    nodes = [
        helper.make_node("MatMul", [f"h{i}" if i else "input", f"w{i}"], [f"h{i + 1}"]) for i in range(len(shapes))
    ]
    hollow = [TensorProto(name=f"w{i}", dims=shape, data_type=TensorProto.FLOAT) for i, shape in enumerate(shapes)]
    first = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", widths[0]])
    last = helper.make_tensor_value_info(f"h{len(shapes)}", TensorProto.FLOAT, ["batch", widths[-1]])
    graph = helper.make_graph(nodes, "perceptron", [first], [last], hollow)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Graph(None, model.SerializeToString())


def _case(name: str, folder: Path) -> dict[str, Any]:
    where, sparsity, bits = _CASES[name]
    model = network(where, sparsity, bits)
    paths = {kind: folder / f"{kind}.onnx" for kind in _KINDS}
    for kind, (target, chosen) in _KINDS.items():
        paths[kind].write_bytes(TARGETS[target].dumps(model, stem="model", **chosen)[".onnx"])
    symbols = 2 * sum(tensor.nnz for tensor in model.coded)
    weights = sum(tensor.size for tensor in model.tensors)
    packed = len(pack(model))
    del model
    random_feeds(paths["onnx-dense"], folder / "feeds.npz")
    loads: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    worked: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    peaks: dict[str, list[int]] = {kind: [] for kind in _KINDS}
    for _ in range(_REPEATS):
        for kind, path in paths.items():
            probe = run_file(path, folder / "feeds.npz", folder / "out.npz")
            loads[kind].append(probe.load_s)
            worked[kind].append(probe.load_cpu_s)
            peaks[kind].append(probe.load_peak_bytes)
    return {
        "network": name,
        "weights": weights,
        "symbols": symbols,
        "packed_bytes": packed,
        "bytes": {kind: path.stat().st_size for kind, path in paths.items()},
        "load_s": loads,
        "load_cpu_s": worked,
        "load_peak_bytes": peaks,
        "inference_ns": inference_ns(paths, load_feeds(folder / "feeds.npz")[0], 20 if weights > 10**6 else 1000),
        "openvino": _openvino(paths) if weights < 10**6 else {},
    }


def _openvino(paths: Mapping[str, Path]) -> dict[str, list[float]]:
    """Seconds to load and peak bytes, by kind; an empty list for a file that is refused."""
    from importlib.util import find_spec

    if find_spec("openvino") is None:
        return {}
    found: dict[str, list[float]] = {}
    for kind, path in paths.items():
        runs = [
            subprocess.run([sys.executable, "-c", _OPENVINO, str(path)], capture_output=True, text=True, check=False)
            for _ in range(3)
        ]
        found[kind] = []
        if all(run.returncode == 0 for run in runs):
            found[kind] = [statistics.median(float(run.stdout.split()[place]) for run in runs) for place in (0, 1)]
    return found


def _browser(name: str, shape: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """Milliseconds of loading and bytes of the heap behind it, by kind of file; nothing where there is no browser.

    Every kind has pages of its own, on which the fixed-width file was loaded before it: that starts the runtime.
    """
    dist, browser = find_onnxruntime_web(), find_browser()
    if dist is None or browser is None:
        return {}
    model = network(*_CASES[name])
    files = {kind: TARGETS[target].dumps(model, stem="model", **own)[".onnx"] for kind, (target, own) in _KINDS.items()}
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    found = {}
    for kind, content in files.items():
        own = {"first": files["onnx-fixed"], kind: content}
        runs = [run_in_browser(own, image, browser=browser, dist=dist)[kind] for _ in range(3)]
        found[kind] = {field: statistics.median(run[field] for run in runs) for field in ("load_ms", "heap_bytes")}
    return found


def _lines(row: Mapping[str, Any]) -> list[str]:
    lines = []
    base_load = statistics.median(row["load_cpu_s"]["onnx-dense"])
    base_peak = statistics.median(row["load_peak_bytes"]["onnx-dense"])
    for kind in _KINDS:
        load = statistics.median(row["load_cpu_s"][kind])
        peak = statistics.median(row["load_peak_bytes"][kind])
        more = peak - base_peak
        cells = (
            row["network"],
            kind,
            f"{row['bytes'][kind]:,}",
            f"{row['bytes'][kind] - row['packed_bytes']:+,}",
            f"{statistics.median(row['load_s'][kind]) * 1e3:.0f}",
            f"{load * 1e3:.1f}",
            f"{(load - base_load) * 1e6 / row['symbols']:.2f}" if kind != "onnx-dense" else "",
            f"{peak / 2**20:.1f}",
            f"{more / 2**20:.1f} MiB, {more / 4 / row['weights']:.1f} ×" if kind != "onnx-dense" else "",
            f"{row['inference_ns'][kind] / 1e3:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description="bytes, load, memory and inference of the ONNX targets")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print(
        "| network | target | bytes | over .dcz | load, ms | of them CPU | s / M symbols "
        "| peak, MiB | over dense weights | run, µs |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for name in _CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_case(name, Path(folder)))
        print("\n".join(_lines(rows[-1])), flush=True)
    browser = {name: _browser(name, shape) for name, shape in _IN_BROWSER.items()}
    for row in rows:
        for kind, taken in row["openvino"].items():
            told = f"{taken[0] * 1e3:.0f} ms, peak {taken[1] / 2**20:.0f} MiB" if taken else "refused"
            print(f"openvino, {row['network']}, {kind}: {told}")
    for name, loads in browser.items():
        for kind, load in loads.items():
            heap = load["heap_bytes"] / 2**20
            print(f"onnxruntime-web, {name}, {kind}: {load['load_ms']:.0f} ms, heap {heap:.0f} MiB")
    keep(arguments.json, rows=rows, browser=browser)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
