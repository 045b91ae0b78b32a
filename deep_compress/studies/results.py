"""What a sweep leaves beside its runs: tidy CSV, a Markdown table with the seeds' mean and spread, a Pareto chart.

`results.csv` holds what the files are and can do, and is the same byte for byte wherever the points were run;
`seconds.csv` holds how long everything took, a stage a row.
"""

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.files import write_whole
from deep_compress.jobs.run_report import RunReport
from deep_compress.studies.sweep import Outcome

__all__ = ["markdown_table", "mean_and_spread", "over_seeds", "write_results"]

_MEASURED = ("sparsity", "dense_bytes", "file_bytes", "ratio")


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; floats with four digits that count.

    >>> print(markdown_table(["bits", "error, %"], [[5, 0.75], [3, 1 / 3]]))
    | bits | error, % |
    | ---: | ---: |
    | 5 | 0.75 |
    | 3 | 0.3333 |
    """
    lines = ["| " + " | ".join(columns) + " |", "|" + " ---: |" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def mean_and_spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and standard deviation over seeds; a single value has no spread.

    >>> mean_and_spread([1.0, 2.0]), mean_and_spread([1.0])
    ('1.50 ± 0.71', '1.00')
    """
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def over_seeds(outcomes: Iterable[Outcome]) -> list[tuple[dict[str, Any], list[RunReport]]]:
    """The reports of all seeds of every setting, in the order in which the settings first come."""
    groups: dict[str, tuple[dict[str, Any], list[RunReport]]] = {}
    for outcome in outcomes:
        if outcome.report is not None:
            setting = {name: value for name, value in outcome.point.axes.items() if name != "seed"}
            groups.setdefault(repr(sorted(setting.items())), (setting, []))[1].append(outcome.report)
    return list(groups.values())


def write_results(outcomes: Sequence[Outcome], directory: Path) -> tuple[Path, ...]:
    """Write `results.csv`, `seconds.csv`, `results.md` and `pareto.png` for the points that have a report.

    Returns
    -------
    tuple of Path
        The files that were written.
    """
    found = [(outcome, outcome.report) for outcome in outcomes if outcome.report is not None]
    tables = {
        "results.csv": _csv([_tidy_row(outcome) for outcome in outcomes]),
        "seconds.csv": _csv(
            [
                {"point": outcome.point.name, "stage": stage, "seconds": f"{seconds:.3f}"}
                for outcome, report in found
                for stage, seconds in report.seconds.items()
            ]
        ),
        "results.md": _summary(outcomes) + "\n",
    }
    written = []
    for name, text in tables.items():
        write_whole(directory / name, text.encode())
        written.append(directory / name)
    if found:
        from deep_compress.studies.plots import plot_pareto

        written.append(directory / "pareto.png")
        plot_pareto(outcomes, written[-1])
    return tuple(written)


def _tidy_row(outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {"point": outcome.point.name, "error": outcome.error or ""}
    row |= {f"axis {name}": value for name, value in outcome.point.axes.items()}
    if outcome.report is not None:
        report = outcome.report
        row |= {name: getattr(report, name) for name in _MEASURED}
        row["onnx_bytes"] = report.files["model.onnx"]
        for stage, value in report.held_out.items():
            row[f"held-out percent after {stage}"] = value.percent
        row |= {"test percent dense": report.test.dense.percent, "test percent file": report.test.file.percent}
    return row


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _summary(outcomes: Sequence[Outcome]) -> str:
    groups = over_seeds(outcomes)
    axes = list(dict.fromkeys(name for setting, _ in groups for name in setting))
    columns = [*axes, "seeds", "sparsity", "bytes", "ratio", "dense %", "file %"]
    rows = []
    for setting, reports in groups:
        row: list[object] = [setting.get(name, "") for name in axes]
        row += [len(reports), f"{statistics.fmean(report.sparsity for report in reports):.4f}"]
        row.append(f"{statistics.fmean(report.file_bytes for report in reports):,.0f}")
        row.append(f"{statistics.fmean(report.ratio for report in reports):.1f}×")
        row.append(mean_and_spread([report.test.dense.percent for report in reports]))
        row.append(mean_and_spread([report.test.file.percent for report in reports]))
        rows.append(row)
    return markdown_table(columns, rows)


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
