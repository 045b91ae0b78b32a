"""`bench report`: what it joins, what it refuses, and that the page is whole, safe and the same every time."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from stand_in_reports import run_report

from bench.energy import EnergyReport, EnergyRow
from bench.environment import Environment, Processor
from bench.errors import BenchError, BenchUsageError
from bench.latency.values import BenchFile, LatencyConfig, LatencyReport, Measurement
from bench.layers.values import Crossover, LayerMeasurement, LayersConfig, LayersReport
from bench.report.page import render_report
from bench.report.results import READERS, Overview, Result, RunFigures, load_results, overviews
from bench.size import SizeConfig, SizeReport, measure_size
from bench.summary import Summary, summarise
from bench.versioned import Versioned
from deep_compress.jobs.run_report import RunReport

ENVIRONMENT = Environment(
    cpu=Processor(model="Example <9000>", flags=("avx2",), logical_cores=4, usable_cores=2, governor=None),
    memory_bytes=2**34,
    gpus=(),
    system="Linux 6 x86_64",
    python="CPython 3.12",
    compiler=None,
    packages={"numpy": "2.0"},
    load_average=(0.1, 0.2, 0.3),
)


def steady(latency_ns: int, batch_size: int = 1) -> Summary:
    """Of samples that are all alike, and a reason to distrust them."""
    return replace(summarise(np.full((2, 5), latency_ns), batch_size), unstable=("shaky",))


def measurement(label: str, runtime: str, p50_ns: int | None, batch_size: int = 1) -> Measurement:
    return Measurement(
        label=label,
        runtime=runtime,
        batch_size=batch_size,
        status="measured" if p50_ns else "unavailable",
        reason=None if p50_ns else "found no module <x>",
        error=1e-7,
        import_ns=5,
        load_ns=6,
        first_inference_ns=7,
        peak_bytes=2**25,
        interpreter_bytes=2**24,
        details={"clock": "in C"} if runtime == "c-inside" else {},
        summary=steady(p50_ns, batch_size) if p50_ns else None,
        latency_ns=np.full((2, 5), p50_ns) if p50_ns else None,
    )


def latency() -> LatencyReport:
    config = LatencyConfig(files=(BenchFile("dense.onnx", Path("dense.onnx")), BenchFile("model.c", Path("model.c"))))
    return LatencyReport(
        settings=config.settings(),
        unstable_rule="the rule",
        environment=ENVIRONMENT,
        measurements=(
            measurement("dense.onnx", "onnxruntime", 50_000),
            measurement("model.c", "c", 4_000),
            measurement("model.c", "c-inside", 3_000),
            measurement("model.c", "c", 90_000, 64),
            measurement("dense.onnx", "openvino", None),
        ),
    )


def size(folder: Path) -> SizeReport:
    (folder / "model.dcz").write_bytes(bytes(7000))
    config = SizeConfig(files=(("model.dcz", folder / "model.dcz"),), dense={"w": np.zeros(61_706, np.float32)})
    return measure_size(config)


def layers() -> LayersReport:
    common = {"network": "VGG-16", "layer": "fc7", "inputs": 4, "outputs": 3, "density": 0.04, "weights": "random"}
    measured = LayerMeasurement(
        **common, batch_size=1, kernel="torch-dense", status="measured", weight_bytes=48, speedup=1.0,
        summary=summarise(np.full((2, 5), 1000), 1), latency_ns=np.full((2, 5), 1000),
    )  # fmt: skip
    crossing = Crossover(inputs=4, outputs=3, batch_size=1, kernel="torch-csr", density=0.18)
    return LayersReport(
        settings=LayersConfig(batch_sizes=(1,)).settings(),
        unstable_rule="the rule",
        environment=ENVIRONMENT,
        measurements=(
            measured,
            replace(measured, kernel="torch-csr", speedup=3.5),
            LayerMeasurement(**common, batch_size=1, kernel="scipy-csr", status="disagrees", reason="differs"),
        ),
        crossovers=(
            crossing,
            replace(crossing, batch_size=64, density=None),
            replace(crossing, batch_size=2, density=0.5),
        ),
    )


def energy() -> EnergyReport:
    row = EnergyRow("model.c", "c", 1, "measured", None, 10, 1.0, 2.0, 1.0, 0.1)
    return EnergyReport("RAPL", 5.0, ENVIRONMENT, (row, EnergyRow("model.c", "torch", 1, "unavailable", "no module")))


RUN_READERS = {"run": lambda values: RunReport.from_json(values).figures(), **READERS}


def load(paths: Sequence[Path]) -> tuple[Result, ...]:
    """As `bench report` reads files."""
    return load_results(paths, RUN_READERS)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "lenet-5 & co"
    folder.mkdir()
    contents: dict[str, Versioned] = {
        "report": run_report(), "size": size(folder), "latency": latency(), "layers": layers(), "energy": energy()
    }  # fmt: skip
    for name, report in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(report.to_json()))
    return folder


def test_a_directory_stands_for_all_that_is_in_it(run: Path) -> None:
    results = load([run])
    assert {type(result.report) for result in results} == {
        RunFigures, SizeReport, LatencyReport, LayersReport, EnergyReport
    }  # fmt: skip
    assert {result.group for result in results} == {"lenet-5 & co"}
    assert len(load([run, run / "size.json"])) == 5
    assert len(load_results([run])) == 4, "the report of a run has no reader in this room"


def test_the_overview_joins_size_accuracy_and_latency(run: Path) -> None:
    (line,) = overviews(load([run]))
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
    (line,) = overviews(load([run / "report.json"]))
    assert (line.file_bytes, line.stock_ns, line.fastest) == (7000, None, None)
    assert "99.00 %" in render_report(load([run / "report.json"]))


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
    text = render_report(load([run]), title="A <title>")
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
    text = render_report(load([run]))
    assert "dense.onnx in openvino, batch 1: unavailable: found no module &lt;x&gt;" in text
    assert "model.c in c, batch 64: shaky" in text
    assert "the rule" in text


def test_equal_results_give_equal_bytes(run: Path) -> None:
    assert render_report(load([run])) == render_report(load([run]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"{path}: found no JSON \(.*\), allowed a file of bench"),
        ("[1]", r"{path}: found list, allowed a JSON object"),
        ("{{}}", r"{path}: found kind None, allowed run, size, latency, layers, energy"),
        ('{{"kind": "poem"}}', r"{path}: found kind poem, allowed run, size, latency, layers, energy"),
        ('{{"kind": "size", "version": 2}}', r"{path}: found version 2 of kind size, allowed 1"),
        ('{{"kind": "size"}}', r"{path}: found no dense_bytes, weights, rows, allowed a complete file of kind size"),
    ],
)
def test_files_that_are_none_of_ours(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content.replace("{{", "{").replace("}}", "}"))
    with pytest.raises(BenchError, match=f"^{message.replace('{path}', re.escape(str(path)))}$"):
        load([path])


def test_a_missing_file_and_an_empty_directory(tmp_path: Path) -> None:
    gone = tmp_path / "gone.json"
    message = f"{gone}: found no readable file (No such file or directory), allowed a JSON file"
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$"):
        load([gone])
    names = "report.json, size*.json, latency*.json, layers*.json, energy*.json"
    message = f"{tmp_path}: found none of {names}, allowed a directory that holds one"
    with pytest.raises(BenchError, match=f"^{re.escape(message)}$"):
        load([tmp_path])


def test_no_results_at_all() -> None:
    message = "results: found none, allowed JSON files of bench or directories of runs"
    with pytest.raises(BenchUsageError, match=f"^{message}$"):
        load([])
