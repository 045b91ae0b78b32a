"""What `compress onnx` itself takes for a large file: seconds and peak memory.

    python -m benchmarks.onnx_large --json docs/results/onnx-large.json

The file holds 25 million Laplace-distributed float32 weights in five matrices, 100 MB. The tool runs in a process of
its own, whose peak memory is given; the closing check in onnxruntime is a process of that process, and apart. What is
printed is Markdown.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.memory import memory_bytes
from benchmarks import keep
from compress.rounding.settings import PostTraining

__all__ = ["main"]

_WIDTHS = (5000, 1000, 5000, 1000, 5000, 1000)
_WAYS = (
    ("--bits 6", PostTraining()),
    ("--bits 6 --max-error 0.2", PostTraining(max_error=0.2)),
    ("--bits 6 --target-size 16000000", PostTraining(target_size=16_000_000)),
)


def _write(path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save_model

    generator = np.random.default_rng(0)
    nodes, weights = [], []
    for number, (taken, given) in enumerate(pairwise(_WIDTHS)):
        weights.append(
            numpy_helper.from_array(generator.laplace(0, 0.02, (taken, given)).astype(np.float32), f"w{number}")
        )
        nodes.append(helper.make_node("MatMul", [f"x{number}", f"w{number}"], [f"x{number + 1}"]))
    ends = [
        helper.make_tensor_value_info(f"x{number}", TensorProto.FLOAT, ["batch", _WIDTHS[number]])
        for number in (0, len(nodes))
    ]
    graph = helper.make_graph(nodes, "large", ends[:1], ends[1:], weights)
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def _inside(source: Path, out: Path, settings: PostTraining) -> None:
    """Compress, and print the bytes, seconds and peak memory of this process."""
    from deep_compress.jobs.onnx import compress_onnx

    begin = time.perf_counter()
    report = compress_onnx(source, out, settings)
    seconds = time.perf_counter() - begin
    row = {"bytes_before": report.bytes_before, "bytes_after": report.bytes_after, "seconds": seconds}
    print(json.dumps({**row, "peak_bytes": memory_bytes("VmHWM")}))


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description="time and memory of compress onnx on a file of 100 MB")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        source, out, way = arguments.inside
        _inside(Path(source), Path(out), _WAYS[int(way)][1])
        return 0
    print("| compress onnx | bytes | coded | seconds | peak memory, of the file |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "large.onnx", Path(folder) / "out.onnx"
        _write(source)
        for way, (flags, _) in enumerate(_WAYS):
            told = [sys.executable, "-m", "benchmarks.onnx_large", "--inside", source, out, way]
            done = subprocess.run([str(word) for word in told], check=True, capture_output=True, text=True)
            row = json.loads(done.stdout)
            rows.append({"flags": flags, **row})
            ratio = row["peak_bytes"] / row["bytes_before"]
            cells = (f"{row['bytes_before']:,}", f"{row['bytes_after']:,}", f"{row['seconds']:.0f}", f"{ratio:.2f} ×")
            print(f"| `{flags}` | {' | '.join(cells)} |", flush=True)
    keep(arguments.json, rows=rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
