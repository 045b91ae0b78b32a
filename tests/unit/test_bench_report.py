"""`bench report`: what it joins, what it refuses, and that the page is whole, safe and the same every time."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, BenchUsageError
from bench.report.page import render_report
from bench.report.results import Overview, load_results, overviews

ENVIRONMENT = {
    "cpu": {"model": "Example <9000>", "flags": ["avx2"], "logical_cores": 4, "usable_cores": 2, "governor": None},
    "memory_bytes": 2**34,
    "gpus": [],
    "system": "Linux 6 x86_64",
    "python": "CPython 3.12",
    "compiler": None,
    "packages": {"numpy": "2.0"},
    "load_average": [0.1, 0.2, 0.3],
}


def measurement(label: str, runtime: str, p50_ns: float | None, batch_size: int = 1) -> dict[str, Any]:
    names = ("p50_ns", "p75_ns", "p90_ns", "p95_ns", "p99_ns", "mean_ns", "std_ns", "min_ns")
    summary = {**dict.fromkeys(names, p50_ns), "samples": 5, "throughput_per_s": 9.0, "unstable": ["shaky"]}
    return {
        "label": label,
        "runtime": runtime,
        "batch_size": batch_size,
        "status": "measured" if p50_ns else "unavailable",
        "reason": None if p50_ns else "found no module <x>",
        "error": 1e-7,
        "import_ns": 5,
        "load_ns": 6,
        "first_inference_ns": 7,
        "peak_bytes": 2**25,
        "interpreter_bytes": 2**24,
        "details": {"clock": "in C"} if runtime == "c-inside" else {},
        "summary": summary if p50_ns else None,
    }


def latency() -> dict[str, Any]:
    return {
        "kind": "latency",
        "settings": {
            "batch_sizes": [1, 64],
            "threads": 1,
            "device": "cpu",
            "warm_up": 5,
            "iterations": 10,
            "rounds": 2,
            "inputs": "given",
        },
        "environment": ENVIRONMENT,
        "unstable_rule": "the rule",
        "measurements": [
            measurement("dense.onnx", "onnxruntime", 50_000.0),
            measurement("model.c", "c", 4_000.0),
            measurement("model.c", "c-inside", 3_000.0),
            measurement("model.c", "c", 90_000.0, 64),
            measurement("dense.onnx", "openvino", None),
        ],
    }


def run_report() -> dict[str, Any]:
    test = {"dense": {"percent": 99.1}, "file": {"percent": 99.0}}
    return {"dense_bytes": 246824, "file_bytes": 7000, "ratio": 35.26, "sparsity": 0.9, "test": test}


def size() -> dict[str, Any]:
    rows = [
        {"label": "dense float32", "kind": "weights", "bytes": 246824, "ratio": 1.0},
        {"label": "model.dcz", "kind": "file", "bytes": 7000, "ratio": 35.26},
    ]
    return {"kind": "size", "dense_bytes": 246824, "rows": rows}


def layers() -> dict[str, Any]:
    common = {"network": "VGG-16", "layer": "fc7", "inputs": 4, "outputs": 3, "density": 0.04, "weights": "random"}
    summary = {"p50_ns": 1000.0, "p99_ns": 1100.0, "unstable": []}
    measured = {"batch_size": 1, "status": "measured", "reason": None, "weight_bytes": 48, "summary": summary}
    return {
        "kind": "layers",
        "settings": {"batch_sizes": [1], "threads": 1, "device": "cpu"},
        "environment": ENVIRONMENT,
        "measurements": [
            {**common, **measured, "kernel": "torch-dense", "speedup": 1.0},
            {**common, **measured, "kernel": "torch-csr", "speedup": 3.5},
            {**common, **measured, "kernel": "scipy-csr", "speedup": None, "summary": None, "reason": "differs"},
        ],
        "crossovers": [
            {"inputs": 4, "outputs": 3, "batch_size": 1, "kernel": "torch-csr", "density": 0.18},
            {"inputs": 4, "outputs": 3, "batch_size": 64, "kernel": "torch-csr", "density": None},
            {"inputs": 4, "outputs": 3, "batch_size": 2, "kernel": "torch-csr", "density": 0.5},
        ],
    }


def energy() -> dict[str, Any]:
    row = {"label": "model.c", "runtime": "c", "batch_size": 1, "calls": 10, "gross_joules": 2.0, "idle_joules": 1.0}
    failed = {**row, "runtime": "torch", "joules_an_image": None, "reason": "no module"}
    return {
        "kind": "energy",
        "meter": "RAPL",
        "idle_watts": 5.0,
        "rows": [{**row, "joules_an_image": 0.1, "reason": None}, failed],
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "lenet-5 & co"
    folder.mkdir()
    contents = {"report": run_report(), "size": size(), "latency": latency(), "layers": layers(), "energy": energy()}
    for name, values in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
    return folder


def test_a_directory_stands_for_all_that_is_in_it(run: Path) -> None:
    results = load_results([run])
    assert sorted(result.kind for result in results) == ["energy", "latency", "layers", "run", "size"]
    assert {result.group for result in results} == {"lenet-5 & co"}
    assert len(load_results([run, run / "size.json"])) == 5


def test_the_overview_joins_size_accuracy_and_latency(run: Path) -> None:
    (line,) = overviews(load_results([run]))
    assert line == Overview(
        group="lenet-5 & co",
        sparsity=0.9,
        file_bytes=7000,
        ratio=35.26,
        dense_percent=99.1,
        file_percent=99.0,
        batch_size=1,
        stock_ns=50_000.0,
        fastest_ns=4_000.0,
        fastest="model.c in c",
    )


def test_a_run_without_latencies_has_an_overview_all_the_same(run: Path) -> None:
    (line,) = overviews(load_results([run / "report.json"]))
    assert (line.file_bytes, line.stock_ns, line.fastest) == (7000, None, None)
    assert "99.00 %" in render_report(load_results([run / "report.json"]))


class _Reader(HTMLParser):
    """Collects tags, addresses, cells and whether every tag is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [str(values[name]) for name in ("src", "href") if name in values]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(values["content"])
        if tag == "td":
            self.cells.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells[-1] += data


def test_the_page_is_whole_and_fetches_nothing(run: Path) -> None:
    text = render_report(load_results([run]), title="A <title>")
    reader = _Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.addresses
    assert all(address.startswith(("data:image/svg+xml;base64,", "#")) for address in reader.addresses)
    assert reader.policy.startswith("default-src 'none'")
    assert "<title>A &lt;title&gt;</title>" in text
    assert "Example &lt;9000&gt;" in text
    for cell in (
        "lenet-5 & co",
        "35.3×",
        "99.00 %",
        "12.5×",
        "4 µs",
        "32 MiB",
        "3.50×",
        "18.0%",
        "never",
        "at least 50%",
    ):
        assert cell in reader.cells, cell


def test_what_was_not_measured_stands_on_the_page(run: Path) -> None:
    text = render_report(load_results([run]))
    assert "dense.onnx in openvino, batch 1: unavailable: found no module &lt;x&gt;" in text
    assert "model.c in c, batch 64: shaky" in text
    assert "the rule" in text


def test_equal_results_give_equal_bytes(run: Path) -> None:
    assert render_report(load_results([run])) == render_report(load_results([run]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"{path}: found no JSON \(.*\), allowed a file of bench"),
        ("[1]", r"{path}: found list, allowed a JSON object"),
        ("{{}}", r"{path}: found kind None, allowed a run's report or size, latency, layers, energy"),
        ('{{"kind": "poem"}}', r"{path}: found kind poem, allowed a run's report or size, latency, layers, energy"),
        ('{{"kind": "size"}}', r"{path}: found no dense_bytes, rows, allowed a complete file of kind size"),
    ],
)
def test_files_that_are_none_of_ours(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content.replace("{{", "{").replace("}}", "}"))
    with pytest.raises(BenchError, match=f"^{message.replace('{path}', re.escape(str(path)))}$"):
        load_results([path])


def test_a_missing_file_and_an_empty_directory(tmp_path: Path) -> None:
    gone = tmp_path / "gone.json"
    message = f"{gone}: found no readable file (No such file or directory), allowed a JSON file"
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$"):
        load_results([gone])
    names = "report.json, size*.json, latency*.json, layers*.json, energy*.json"
    message = f"{tmp_path}: found none of {names}, allowed a directory that holds one"
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$"):
        load_results([tmp_path])


def test_no_results_at_all() -> None:
    message = "results: found none, allowed JSON files of bench or directories of runs"
    with pytest.raises(BenchUsageError, match=f"^{message}$"):
        load_results([])
