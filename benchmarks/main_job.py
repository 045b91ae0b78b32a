"""The main job over several seeds: accuracy, bytes, entropy and time, as the README quotes them.

    python -m benchmarks.main_job --seeds 3 --json docs/results/main-job.json

Every seed is one `compress run` in a process of its own, timed from start to end. What is printed is Markdown.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import keep
from deep_compress.jobs.run_report import RunReport

__all__ = ["main"]


def _run(seed: int, folder: Path, arguments: list[str]) -> dict[str, Any]:
    out = folder / str(seed)
    start = time.perf_counter()
    code = "import cli; cli.compress()"
    command = [sys.executable, "-c", code, "run", "--seed", str(seed), "--out", str(out), "--quiet", *arguments]
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    report = RunReport.from_json(json.loads((out / "report.json").read_text("utf-8")))
    return {"seed": seed, "seconds": seconds, "report": report}


def _help_seconds() -> float:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import cli; cli.compress()", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _spread(values: list[float], digits: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):,.{digits}f} ± {deviation:,.{digits}f}"


def _rows(runs: list[dict[str, Any]], help_seconds: float) -> list[tuple[str, str]]:
    reports = [run["report"] for run in runs]
    streams = [report.coding for report in reports]
    return [
        ("dense test accuracy, %", _spread([report.test.dense.percent for report in reports], 2)),
        ("test accuracy from the file, %", _spread([report.test.file.percent for report in reports], 2)),
        ("model.dcz, bytes", _spread([report.file_bytes for report in reports], 0)),
        ("model.onnx, bytes", _spread([report.files["model.onnx"] for report in reports], 0)),
        ("ratio of model.dcz to dense float32", _spread([report.ratio for report in reports], 1)),
        ("order-0 entropy of the streams, bytes", _spread([coding.entropy_bytes for coding in streams], 0)),
        ("bytes spent on the streams, tables included", _spread([coding.coded_bytes for coding in streams], 0)),
        ("whole command, seconds", _spread([run["seconds"] for run in runs], 0)),
        ("compress --help, seconds (median of 7)", f"{help_seconds:.2f}"),
    ]


def main() -> None:
    """Run, print the table, keep every report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--json", type=Path, help="keep all reports here")
    parser.add_argument("arguments", nargs="*", help="further arguments of compress run, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [_run(seed, Path(folder), options.arguments) for seed in range(options.seeds)]
    rows = _rows(runs, _help_seconds())
    print(f"| what | mean ± standard deviation of {options.seeds} seeds |\n| --- | --- |")
    for name, value in rows:
        print(f"| {name} | {value} |")
    keep(options.json, table=dict(rows), runs=[{**run, "report": run["report"].to_json()} for run in runs])


if __name__ == "__main__":
    main()
