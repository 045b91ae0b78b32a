"""How fast streams are coded, and what packing a large model takes.

    python -m benchmarks.coding --json docs/results/coding.json

First a million symbols by our Huffman coder and by dahuffman, in turns in the same process; then a model of 25 million
weights, 90 % of them pruned, 5 bits, packed and unpacked on one core, in a fresh process each. What is printed is
Markdown; raw samples go into the JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.memory import memory_bytes
from benchmarks import keep
from compress.coding.bits import BitReader, BitWriter
from compress.coding.huffman_codes import code_lengths, read_symbols, write_symbols
from compress.representation import CompressedModel

__all__ = ["main"]

_SHAPES = {
    "conv.weight": (512, 512, 3, 3),
    "fc1.weight": (4096, 4096),
    "fc2.weight": (2048, 2048),
    "fc3.weight": (1000, 2048),
}
"""25 million weights, in a convolution and layers as wide as large networks have them."""


_SPARSITY, _BITS = 0.9, 5
"""Those of the main job."""


def _codes(generator: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Codes as linear centroids give them: two humps, with the pruned weights missing between."""
    centre = np.where(generator.random(count) < 0.5, 11.0, 20.0)
    return np.clip(np.round(generator.laplace(centre, 2.0)), 0, 2**_BITS - 1).astype(np.uint8)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _huffman(count: int, repeats: int) -> dict[str, Any]:
    from dahuffman import HuffmanCodec

    symbols = _codes(np.random.default_rng(0), count)
    lengths = code_lengths(np.bincount(symbols))
    out = BitWriter()
    write_symbols(out, symbols, lengths)
    content = out.to_bytes()
    as_list = symbols.tolist()
    codec = HuffmanCodec.from_data(as_list)
    encoded = codec.encode(as_list)
    assert codec.decode(encoded) == as_list
    assert (read_symbols(BitReader(content), count, lengths, "stream")[0] == symbols).all()
    contestants: dict[str, Callable[[], object]] = {
        "ours, encode": lambda: write_symbols(BitWriter(), symbols, lengths),
        "dahuffman, encode": lambda: codec.encode(as_list),
        "ours, decode": lambda: read_symbols(BitReader(content), count, lengths, "stream"),
        "dahuffman, decode": lambda: codec.decode(encoded),
    }
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, function in contestants.items():
            samples[name].append(_seconds(function))
    return {"symbols": count, "ours_bytes": len(content), "dahuffman_bytes": len(encoded), "seconds": samples}


def _model() -> CompressedModel:
    from onnx import TensorProto, helper

    from compress.graph import Graph
    from compress.representation import CodedTensor
    from compress.sparse import matrix_shape

    hollow = [TensorProto(name=name, dims=dims, data_type=TensorProto.FLOAT) for name, dims in _SHAPES.items()]
    skeleton = helper.make_model(helper.make_graph([], "large", [], [], hollow)).SerializeToString(deterministic=True)
    generator = np.random.default_rng(0)
    tensors = []
    for name, shape in _SHAPES.items():
        mask = generator.random(matrix_shape(shape), dtype=np.float32) >= _SPARSITY
        codes = _codes(generator, int(np.count_nonzero(mask)))
        centroids = np.linspace(-0.5, 0.5, 2**_BITS, dtype=np.float32)
        tensors.append(CodedTensor.of_mask(name, mask.reshape(shape), codes, centroids, _BITS))
    return CompressedModel(Graph(None, skeleton), tuple(tensors), {})


def _reset_peak() -> None:
    """Begin a new peak, where the system can; elsewhere the peak of building the model counts too."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5", "ascii")


def _child(job: str, path: Path) -> dict[str, Any]:
    """Pack or unpack the large model; memory is told above that of the interpreter with everything imported."""
    from compress.graph import graph_of_zoo
    from compress.packed.container import account, dumps, loads

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    graph_of_zoo("lenet-5")
    before = memory_bytes("VmHWM")
    result: dict[str, Any] = {}
    if job == "pack":
        model = _model()
        building = memory_bytes("VmHWM") - before
        _reset_peak()
        start = time.perf_counter()
        data = dumps(model)
        result["seconds"] = time.perf_counter() - start
        result["peak_bytes"], result["building_peak_bytes"] = memory_bytes("VmHWM") - before, building
        path.write_bytes(data)
    else:
        data = path.read_bytes()
        start = time.perf_counter()
        loads(data)
        result["seconds"] = time.perf_counter() - start
        result["peak_bytes"] = memory_bytes("VmHWM") - before
        found = account(data)
        result |= {"file_bytes": len(data), "entropy_bytes": found.entropy_bits / 8, "parts": found.parts()}
    return result


def _large(repeats: int) -> dict[str, Any]:
    samples: dict[str, list[Any]] = {"pack": [], "unpack": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for job, results in samples.items():
                command = [sys.executable, "-m", "benchmarks.coding", "--child", job, f"{folder}/large.dcz"]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                results.append(json.loads(done.stdout))
    weights = sum(int(np.prod(shape)) for shape in _SHAPES.values())
    return {"weights": weights, "dense_bytes": 4 * weights, **samples}


def _rows(huffman: dict[str, Any], large: dict[str, Any]) -> list[tuple[str, str]]:
    rates = {name: huffman["symbols"] / statistics.median(times) / 1e6 for name, times in huffman["seconds"].items()}
    rows = [(f"Huffman, 1 M symbols, {name}, M symbols/s", f"{rate:.2f}") for name, rate in rates.items()]
    for way in ("encode", "decode"):
        rows.append((f"Huffman, {way}, ours ÷ dahuffman", f"{rates[f'ours, {way}'] / rates[f'dahuffman, {way}']:.0f}×"))
    rows.append(("Huffman, bytes, ours / dahuffman", f"{huffman['ours_bytes']:,} / {huffman['dahuffman_bytes']:,}"))
    for job in ("pack", "unpack"):
        seconds = statistics.median(sample["seconds"] for sample in large[job])
        peak = max(sample["peak_bytes"] for sample in large[job])
        rows.append((f"{large['weights'] / 1e6:.1f} M weights, {job}, seconds on one core", f"{seconds:.2f}"))
        rows.append((f"… peak memory over the interpreter's, {job}, MB", f"{peak / 1e6:.0f}"))
    file_bytes, entropy = large["unpack"][0]["file_bytes"], large["unpack"][0]["entropy_bytes"]
    rows.append(("… dense weights, MB", f"{large['dense_bytes'] / 1e6:.0f}"))
    rows.append(("… file, bytes, and over the order-0 entropy", f"{file_bytes:,}, {file_bytes / entropy - 1:+.2%}"))
    return rows


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="samples of each contestant (default 7)")
    parser.add_argument("--json", type=Path, help="write raw samples to this file")
    parser.add_argument("--child", nargs=2, metavar=("JOB", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(_child(arguments.child[0], Path(arguments.child[1]))))
        return
    huffman = _huffman(1_000_000, arguments.repeats)
    large = _large(3)
    rows = _rows(huffman, large)
    print("| what | figure |\n| --- | --- |")
    for what, figure in rows:
        print(f"| {what} | {figure} |")
    keep(arguments.json, rows=dict(rows), huffman=huffman, large=large)


if __name__ == "__main__":
    main()
