"""The target `c` beside onnxruntime, one core, interleaved in one run.

    python -m benchmarks.c_kernels runs/*/model.dcz --json docs/results/c_kernels.json
    python -m benchmarks.c_kernels --zoo vgg-lite --sparsity 0.5,0.8,0.9

Files are .dcz or .onnx; `--zoo` takes a network of ours with random weights, pruned by global magnitude and shared to
32 values: for the time alone, and said to be so. Every file is written as C, compiled here, and checked against
onnxruntime before a time counts; the accuracy is that of the report.json beside it. Times are of a call from Python,
input and output bound before, and of a call inside C. What is printed is Markdown; raw samples go into the JSON.
"""

import argparse
import ctypes
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.runtimes.c import aligned, bound, compile_c
from benchmarks import keep
from compress.graph import graph_of_zoo
from compress.packed import container
from deep_compress.jobs.run_report import RunReport
from export.c import emit

if TYPE_CHECKING:
    import onnx

__all__ = ["main"]

_TOLERANCE = 1e-5
"""Of the largest output: onnxruntime adds in another order, and float32 has steps of 1.2e-7."""


def _random(name: str, sparsity: float) -> "onnx.ModelProto":
    """A network of ours with weights as an initialiser gives them, pruned by global magnitude, 32 values a layer."""
    generator = np.random.default_rng(0)
    graph = graph_of_zoo(name)
    weights: dict[str, NDArray[np.float32]] = {}
    for key, shape in graph.parameters.items():
        if len(shape) < 2:
            weights[key] = generator.uniform(0.5, 1, shape).astype(np.float32)
        else:
            weights[key] = (generator.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
    every = np.concatenate([np.abs(w).ravel() for w in weights.values() if w.ndim > 1])
    threshold = np.quantile(every, sparsity)
    for key, w in weights.items():
        if w.ndim > 1:
            kept = np.abs(w) >= threshold
            levels = np.unique(np.quantile(w[kept], (np.arange(32) + 0.5) / 32)).astype(np.float32)
            nearest = levels[np.abs(w[kept][:, None] - levels).argmin(axis=1)]
            weights[key] = np.zeros_like(w)
            weights[key][kept] = nearest
    return graph.model(weights)


def _load(path: Path) -> "onnx.ModelProto":
    import onnx

    if path.suffix == ".dcz":
        model = container.load(path)
        return model.graph.model(model.weights())
    return onnx.load(path)


def _accuracy(path: Path) -> float | None:
    """Test accuracy of the file in percent, where `compress run` has left its report beside it."""
    report = path.with_name("report.json")
    return RunReport.from_json(json.loads(report.read_text("utf-8"))).test.file.percent if report.exists() else None


def _sparsity(model: "onnx.ModelProto") -> float:
    from onnx import numpy_helper

    arrays = [numpy_helper.to_array(i) for i in model.graph.initializer if len(i.dims) > 1]
    return 1 - sum(int(np.count_nonzero(a)) for a in arrays) / sum(a.size for a in arrays)


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def _measure(
    name: str, model: "onnx.ModelProto", batches: list[int], rounds: int, options: dict[str, str]
) -> list[dict[str, Any]]:
    import onnxruntime

    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = 1
    session_options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options, providers=["CPUExecutionProvider"]
    )
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    key = session.get_inputs()[0].name
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for suffix, content in emit(model, stem="net", **options).items():
            (Path(folder) / f"net{suffix}").write_bytes(content)
        written = time.perf_counter()
        path = compile_c(Path(folder) / "net.c", Path(folder))
        library = ctypes.CDLL(str(path))
        compiled = time.perf_counter()
        for batch in batches:
            x = aligned((batch, *shape))
            x[:] = np.random.default_rng(1).normal(size=x.shape)
            wanted = session.run(None, {key: x})[0]
            y = aligned(wanted.shape)
            call = bound(path, x, y)
            assert call() == 0
            difference = float(np.abs(y - wanted).max())
            allowed = _TOLERANCE * max(1.0, float(np.abs(wanted).max()))
            if difference > allowed:
                raise SystemExit(f"{name}: found a difference of {difference}, allowed {allowed}")
            row: dict[str, Any] = {
                "name": name,
                "sparsity": _sparsity(model),
                "batch": batch,
                "difference": difference,
                "emit_s": written - start,
                "compile_s": compiled - written,
                "latency_ns": _samples(
                    lambda x=x: session.run(None, {key: x}),
                    call,
                    library,
                    (_pointer(x), _pointer(y), batch),
                    rounds,
                ),
            }
            rows.append(row)
    return rows


def _samples(onnxruntime: Any, call: Any, library: Any, inside: tuple[Any, ...], rounds: int) -> dict[str, list[int]]:
    """Samples of all contestants, a few of each in every round; the first tenth of the rounds is warm-up."""
    samples: dict[str, list[int]] = {"onnxruntime": [], "c": [], "c-inside": []}
    clock = time.perf_counter_ns
    for turn in range(rounds + rounds // 10):
        taken = np.empty(5, dtype=np.int64)
        found: dict[str, list[int]] = {name: [] for name in samples}
        for name, function in (("onnxruntime", onnxruntime), ("c", call)):
            for _ in range(5):
                start = clock()
                function()
                found[name].append(clock() - start)
        library.bench_samples(*inside, len(taken), _pointer(taken))
        found["c-inside"] = taken.tolist()
        if turn >= rounds // 10:
            for name, values in found.items():
                samples[name] += values
    return samples


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| network | sparsity | accuracy | batch | onnxruntime | c, Python | c, inside | faster | difference | built |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        p50 = {name: float(np.median(values)) / row["batch"] / 1e3 for name, values in row["latency_ns"].items()}
        accuracy = "" if row["accuracy_percent"] is None else f"{row['accuracy_percent']:.2f} %"
        lines.append(
            f"| {row['name']} | {row['sparsity']:.3f} | {accuracy} | {row['batch']} | {p50['onnxruntime']:.2f} µs "
            f"| {p50['c']:.2f} µs | {p50['c-inside']:.2f} µs | {p50['onnxruntime'] / p50['c']:.1f} × "
            f"| {row['difference']:.1e} | {row['compile_s']:.1f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure the files and networks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help=".dcz or .onnx files")
    parser.add_argument("--zoo", action="append", default=[], help="a network of ours with random weights")
    parser.add_argument("--sparsity", default="0.9", help="sparsities for --zoo")
    parser.add_argument("--batch", default="1,64")
    parser.add_argument("--rounds", type=int, default=200, help="rounds of five samples of each contestant")
    parser.add_argument("--weights", default="float")
    parser.add_argument("--unroll", default="some")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    batches = [int(text) for text in arguments.batch.split(",")]
    models = [
        (path.stem if path.stem != "model" else path.parent.name, _load(path), _accuracy(path))
        for path in arguments.files
    ]
    models += [
        (f"{name}, random weights", _random(name, float(text)), None)
        for name in arguments.zoo
        for text in arguments.sparsity.split(",")
    ]
    if not models:
        parser.error("found no file and no --zoo, allowed at least one")
    options = {"weights": arguments.weights, "unroll": arguments.unroll}
    rows = []
    for name, model, accuracy in models:
        for row in _measure(name, model, batches, arguments.rounds, options):
            rows.append({"accuracy_percent": accuracy, **row})
    print("p50 per image, one core; difference: the largest of any output from onnxruntime's\n")
    print(_table(rows))
    keep(arguments.json, options=options, rows=rows)


if __name__ == "__main__":
    main()
