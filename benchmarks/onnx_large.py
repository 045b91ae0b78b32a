"""What `compress onnx` itself takes for a large file: seconds and peak memory.

    python -m benchmarks.onnx_large --json docs/results/onnx-large.json
    python -m benchmarks.onnx_large --matrices 110 --json docs/results/onnx-huge.json

The file holds 25 million Laplace-distributed float32 weights in five matrices, 100 MB; with 110 matrices 2.2 GB, more
than one protobuf message may hold, so that they are in a file beside it. The tool runs in a process of its own, whose
peak memory is given; the closing check in onnxruntime is a process of that process, and apart. What is printed is
Markdown.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.memory import memory_bytes
from benchmarks import keep
from compress.graph import LARGEST_MESSAGE
from compress.rounding.settings import PostTraining

__all__ = ["main"]

_WIDTHS = (5000, 1000)
"""Of the values between the matrices, in turn."""

_MATRIX_BYTES = 4 * 5000 * 1000
_WAYS = (
    ("--bits 6", "onnx", PostTraining()),
    ("--bits 6 --max-error 0.2", "onnx", PostTraining(max_error=0.2)),
    ("--bits 6 --target-size 16000000", "onnx", PostTraining(target_size=16_000_000)),
    ("--bits 6 --target dcz", "dcz", PostTraining()),
    ("--bits 6 --target onnx-dense", "onnx-dense", PostTraining()),
)
_WAYS_OF_HUGE_FILES = (0, 3, 4)
"""Choosing bits asks for a model whose weights are inputs: onnxruntime would hold all of them several times."""


def _write(path: Path, matrices: int) -> None:
    """A chain of matrices, their data in the file, or beside it where they are too large for one message."""
    from onnx import TensorProto, helper

    generator = np.random.default_rng(0)
    beside = path.with_name(f"{path.name}.data")
    external = matrices * _MATRIX_BYTES > LARGEST_MESSAGE
    nodes, weights = [], []
    with beside.open("wb") as file:
        for number in range(matrices):
            shape = (_WIDTHS[number % 2], _WIDTHS[(number + 1) % 2])
            # Small enough that a hundred matrices behind each other neither vanish nor overflow.
            data = generator.laplace(0, 0.5 * shape[0] ** -0.5, shape).astype(np.float32).tobytes()
            tensor = TensorProto(name=f"w{number}", dims=shape, data_type=TensorProto.FLOAT)
            if external:
                tensor.data_location = TensorProto.EXTERNAL
                for key, value in (("location", beside.name), ("offset", file.tell()), ("length", len(data))):
                    tensor.external_data.add(key=key, value=str(value))
                file.write(data)
            else:
                tensor.raw_data = data
            weights.append(tensor)
            nodes.append(helper.make_node("MatMul", [f"x{number}", f"w{number}"], [f"x{number + 1}"]))
    ends = [
        helper.make_tensor_value_info(f"x{number}", TensorProto.FLOAT, ["batch", _WIDTHS[number % 2]])
        for number in (0, matrices)
    ]
    graph = helper.make_graph(nodes, "large", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    if not external:
        beside.unlink()


def _inside(source: Path, out: Path, way: int) -> None:
    """Compress, and print the bytes, seconds and peak memory of this process."""
    from deep_compress.jobs.onnx import compress_onnx

    _, target, settings = _WAYS[way]
    begin = time.perf_counter()
    report = compress_onnx(source, out, settings, target=target)
    seconds = time.perf_counter() - begin
    row = {"bytes_before": report.bytes_before, "bytes_after": report.bytes_after, "seconds": seconds}
    print(json.dumps({**row, "peak_bytes": memory_bytes("VmHWM")}))


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description="time and memory of compress onnx on a large file")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--matrices", type=int, default=5, help="20 MB each (5)")
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        source, out, way = arguments.inside
        _inside(Path(source), Path(out), int(way))
        return 0
    print("| compress onnx | bytes | coded | seconds | peak memory, of the file |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "large.onnx"
        _write(source, arguments.matrices)
        huge = arguments.matrices * _MATRIX_BYTES > LARGEST_MESSAGE
        for way in _WAYS_OF_HUGE_FILES if huge else range(len(_WAYS)):
            flags, target, _ = _WAYS[way]
            out = Path(folder) / f"out.{'dcz' if target == 'dcz' else 'onnx'}"
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
