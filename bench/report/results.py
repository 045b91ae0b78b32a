"""What runs and measurements left as JSON: read, checked, and in one line for every run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError, BenchUsageError

__all__ = ["Overview", "Result", "load_results", "overviews"]

KINDS = ("run", "size", "latency", "layers", "energy")
_NAMES = ("report.json", "size*.json", "latency*.json", "layers*.json", "energy*.json")
"""What is looked for in a directory."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "run": ("dense_bytes", "file_bytes", "ratio", "sparsity", "test"),
    "size": ("dense_bytes", "rows"),
    "latency": ("settings", "environment", "measurements", "unstable_rule"),
    "layers": ("settings", "environment", "measurements", "crossovers"),
    "energy": ("meter", "idle_watts", "rows"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """One JSON file: its kind (of KINDS), the run that it belongs to (its directory's name), and what it holds."""

    kind: str
    group: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One run in one line; None where nothing was measured.

    Times are p50 in nanoseconds at the smallest batch size that was measured; `stock_ns` is the dense network's in
    onnxruntime, `fastest_ns` that of the fastest contestant that is called from Python as that one is.
    """

    group: str
    sparsity: float | None = None
    file_bytes: int | None = None
    ratio: float | None = None
    dense_percent: float | None = None
    file_percent: float | None = None
    batch_size: int | None = None
    stock_ns: float | None = None
    fastest_ns: float | None = None
    fastest: str | None = None


def _kind(values: Any, path: Path) -> str:
    if not isinstance(values, dict):
        raise BenchError(f"{path}: found {type(values).__name__}, allowed a JSON object")
    kind = values.get("kind", "run" if "file_bytes" in values and "test" in values else None)
    if kind not in KINDS:
        raise BenchError(f"{path}: found kind {kind}, allowed a run's report or {', '.join(KINDS[1:])}")
    missing = [name for name in _REQUIRED[kind] if name not in values]
    if missing:
        raise BenchError(f"{path}: found no {', '.join(missing)}, allowed a complete file of kind {kind}")
    return str(kind)


def load_results(paths: Sequence[Path]) -> tuple[Result, ...]:
    """Read JSON files; a directory stands for a run's report and all measurements in it.

    Raises
    ------
    BenchError
        A file that is not there, is not JSON, or is none of ours.
    BenchUsageError
        No paths.
    """
    if not paths:
        raise BenchUsageError("results: found none, allowed JSON files of bench or directories of runs")
    files: list[Path] = []
    for path in paths:
        found = sorted({file for name in _NAMES for file in path.glob(name)}) if path.is_dir() else [path]
        if not found:
            raise BenchError(f"{path}: found none of {', '.join(_NAMES)}, allowed a directory that holds one")
        files += found
    results = []
    for file in dict.fromkeys(files):
        try:
            values = json.loads(file.read_text("utf-8"))
        except OSError as error:
            raise BenchError(f"{file}: found no readable file ({error.strerror}), allowed a JSON file") from error
        except ValueError as error:
            raise BenchError(f"{file}: found no JSON ({error}), allowed a file of bench") from error
        results.append(Result(_kind(values, file), file.resolve().parent.name, values))
    return tuple(results)


def overviews(results: Sequence[Result]) -> tuple[Overview, ...]:
    """A line for every run that has a report or latencies, in the order in which they first appear."""
    groups = dict.fromkeys(result.group for result in results if result.kind in ("run", "latency"))
    return tuple(_overview(group, [result for result in results if result.group == group]) for group in groups)


def _overview(group: str, results: Sequence[Result]) -> Overview:
    fields: dict[str, Any] = {}
    for result in results:
        if result.kind == "run":
            test = result.values["test"]
            fields |= {name: result.values[name] for name in ("sparsity", "file_bytes", "ratio")}
            fields["dense_percent"] = test.get("dense", {}).get("percent")
            fields["file_percent"] = test.get("file", {}).get("percent")
        elif result.kind == "latency":
            fields |= _latencies(result.values["measurements"])
    return Overview(group=group, **fields)


def _latencies(measurements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    measured = [item for item in measurements if item["summary"]]
    if not measured:
        return {}
    batch_size = min(item["batch_size"] for item in measured)
    at_batch = [item for item in measured if item["batch_size"] == batch_size]
    called = [item for item in at_batch if "clock" not in item["details"]] or at_batch
    fastest = min(called, key=lambda item: float(item["summary"]["p50_ns"]))
    stock = [item["summary"]["p50_ns"] for item in at_batch if item["runtime"] == "onnxruntime"]
    return {
        "batch_size": batch_size,
        "stock_ns": stock[0] if stock else None,
        "fastest_ns": fastest["summary"]["p50_ns"],
        "fastest": f"{fastest['label']} in {fastest['runtime']}",
    }
