"""The chart of a sweep: accuracy against bytes, of every run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deep_compress.charts import bytes_across, chart
from deep_compress.front import front_of
from deep_compress.jobs.run_report import RunReport
from deep_compress.studies.sweep import Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_pareto"]


def plot_pareto(outcomes: Sequence[Outcome], path: Path) -> None:
    """Accuracy on the test set against bytes of the file; the line joins the front that held-out data chooses."""
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    sizes = [float(report.file_bytes) for report in reports]
    accuracies = [report.test.file.percent for report in reports]
    errors = [100 - _last_held_out(report) for report in reports]
    front = front_of(list(zip(sizes, errors, strict=True)))

    def draw(axes: "Axes") -> None:
        axes.plot(sizes, accuracies, "o", color="0.65", label="a run")
        axes.plot(
            [sizes[i] for i in front],
            [accuracies[i] for i in front],
            "o-",
            color="C0",
            label="best for its bytes on held-out data",
        )
        bytes_across(axes)
        axes.legend()

    chart(path, "Accuracy against size, both of the file", "bytes of model.dcz", "accuracy on the test set, %", draw)


def _last_held_out(report: RunReport) -> float:
    """Accuracy in percent after the last stage; a run that held nothing out has none to choose by."""
    percent = list(report.held_out.values())[-1].percent
    return float("nan") if percent is None else percent
