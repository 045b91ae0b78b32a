"""What runs and measurements left as JSON: read, checked, and in one line for every run."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from bench.energy import EnergyReport
from bench.errors import BenchError, BenchUsageError, ReportError
from bench.latency.values import LatencyReport
from bench.layers.values import LayersReport
from bench.size import SizeReport
from bench.versioned import shown

__all__ = ["READERS", "Overview", "Report", "Result", "RunFigures", "load_results", "overviews", "read_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """What a page shows of a run of compression, whoever made it.

    This room knows no more of a run's report: who calls `load_results` and knows that format gives the reader that
    takes these figures from it.
    """

    sparsity: float
    file_bytes: int
    ratio: float
    dense_percent: float
    file_percent: float


Report = RunFigures | SizeReport | LatencyReport | LayersReport | EnergyReport
Reader = Callable[[object], Report]
Read = TypeVar("Read")

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "size": SizeReport.from_json,
        "latency": LatencyReport.from_json,
        "layers": LayersReport.from_json,
        "energy": EnergyReport.from_json,
    }
)
"""Kind of a report → how it is read."""

_NAMES = MappingProxyType(
    {"run": "report.json", **{kind: f"{kind}*.json" for kind in READERS}},
)
"""Kind of a report → what it is called in a directory."""


@dataclass(frozen=True, slots=True)
class Result:
    """One JSON file: the run that it belongs to (its directory's name), and what it holds."""

    group: str
    report: Report


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


def read_json(path: Path, read: Callable[[object], Read]) -> Read:
    """What `read` makes of a JSON file.

    Raises
    ------
    BenchError
        The file is not there, is not JSON, or is none that `read` takes.
    """
    try:
        return read(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise BenchError(f"{path}: found no readable file ({error.strerror}), allowed a JSON file") from error
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error
    except ValueError as error:
        raise BenchError(f"{path}: found no JSON ({error}), allowed a file of bench") from error


def load_results(paths: Sequence[Path], readers: Mapping[str, Reader] = READERS) -> tuple[Result, ...]:
    """Read JSON files; a directory stands for all those in it that have a reader.

    Parameters
    ----------
    paths : sequence of Path
    readers : mapping of str to callable
        By kind; "run" for the report of a run, which names no kind where it is an old one.

    Raises
    ------
    BenchError
        A file that is not there, is not JSON, or is none of ours.
    BenchUsageError
        No paths.
    """
    if not paths:
        raise BenchUsageError("results: found none, allowed JSON files of bench or directories of runs")
    names = [_NAMES[kind] for kind in ("run", *READERS) if kind in readers]
    files: list[Path] = []
    for path in paths:
        found = sorted({file for name in names for file in path.glob(name)}) if path.is_dir() else [path]
        if not found:
            raise BenchError(f"{path}: found none of {', '.join(names)}, allowed a directory that holds one")
        files += found
    return tuple(
        Result(file.resolve().parent.name, read_json(file, lambda values: _report(values, readers)))
        for file in dict.fromkeys(files)
    )


def _report(values: object, readers: Mapping[str, Reader]) -> Report:
    if not isinstance(values, dict):
        raise ReportError(f"found {type(values).__name__}, allowed a JSON object")
    kind = values.get("kind", "run" if "file_bytes" in values and "test" in values else None)
    if not isinstance(kind, str) or kind not in readers:
        raise ReportError(f"found kind {shown(kind)}, allowed {', '.join(readers)}")
    return readers[kind](values)


def overviews(results: Sequence[Result]) -> tuple[Overview, ...]:
    """A line for every run that has a report or latencies, in the order in which they first appear."""
    groups = dict.fromkeys(result.group for result in results if isinstance(result.report, RunFigures | LatencyReport))
    return tuple(_overview(group, [result.report for result in results if result.group == group]) for group in groups)


def _overview(group: str, reports: Sequence[Report]) -> Overview:
    fields: dict[str, Any] = {}
    for report in reports:
        if isinstance(report, RunFigures):
            fields |= asdict(report)
        elif isinstance(report, LatencyReport):
            fields |= _latencies(report)
    return Overview(group=group, **fields)


def _latencies(report: LatencyReport) -> dict[str, Any]:
    measured = [(item, item.summary.p50_ns) for item in report.measurements if item.summary]
    if not measured:
        return {}
    batch_size = min(item.batch_size for item, _ in measured)
    at_batch = [(item, p50_ns) for item, p50_ns in measured if item.batch_size == batch_size]
    called = [pair for pair in at_batch if "clock" not in pair[0].details] or at_batch
    fastest, fastest_ns = min(called, key=lambda pair: pair[1])
    return {
        "batch_size": batch_size,
        "stock_ns": next((p50_ns for item, p50_ns in at_batch if item.runtime == "onnxruntime"), None),
        "fastest_ns": fastest_ns,
        "fastest": f"{fastest.label} in {fastest.runtime}",
    }
