"""Study E: incremental pruning for fast training: 20 epochs against the 200 of iterative pruning.

Adam (1e-3, decay 1e-5 a step), batch norm and dropout, weights ranked by their L2 norm. Incremental: two epochs of
pre-training, a tenth of the weights at a time with an epoch between, to 0.9, then training. Iterative: the same rounds
with twenty epochs each.
"""

from collections.abc import Sequence
from pathlib import Path

from deep_compress.charts import plot_bars
from deep_compress.studies.axes import Point, point_of
from deep_compress.studies.results import markdown_table
from deep_compress.studies.study import PLAIN, Study, report_of, write_text
from deep_compress.studies.sweep import Outcome

__all__ = ["STUDY"]

_PAIRS = (
    ("lenet-300-100(batch_norm=true,dropout=0.2)", "mnist"),
    ("lenet-5(batch_norm=true,dropout=0.2)", "mnist"),
    ("vgg-lite", "cifar-10"),
    ("vgg-lite(classes=100)", "cifar-100"),
)
_METHODS = {
    "incremental": {"epochs": 2, "round_epochs": 1, "retrain_epochs": 10},
    "iterative": {"epochs": 20, "round_epochs": 20, "retrain_epochs": 20},
}


def _points() -> tuple[Point, ...]:
    base = {
        **PLAIN,
        "optimiser": "adam",
        "annealing": "inverse-time",
        "rate_decay": 1e-5,
        "learning_rate": 1e-3,
        "retrain_learning_rate": 1e-3,
        "criterion": "l2",
        "sparsity": 0.9,
        "rounds": 9,
        "tune_epochs": 1,
    }
    return tuple(
        point_of({**base, **fields}, {"network": network, "data": data, "schedule": schedule})
        for network, data in _PAIRS
        for schedule, fields in _METHODS.items()
    )


def _write(outcomes: Sequence[Outcome], directory: Path) -> None:
    rows = []
    groups = list(dict.fromkeys(_group(outcome) for outcome in outcomes))
    heights = {schedule: [float("nan")] * len(groups) for schedule in _METHODS}
    for outcome in outcomes:
        report, axes = report_of(outcome), outcome.point.axes
        epochs = sum(record.stage != "tune" for record in report.history)
        rows.append(
            [
                axes["network"],
                axes["data"],
                axes["schedule"],
                epochs,
                f"{report.seconds['train'] + report.seconds['prune']:.0f}",
                f"{report.held_out['prune'].percent:.2f}",
                f"{report.test.file.percent:.2f}",
                f"{report.file_bytes:,}",
            ]
        )
        heights[axes["schedule"]][groups.index(_group(outcome))] = report.test.file.percent
    columns = ["network", "data", "pruning", "epochs", "training, s", "held-out % after retraining"]
    write_text(directory, markdown_table([*columns, "test % of the file", "bytes"], rows))
    plot_bars(directory / "accuracy.png", "Accuracy of the file on the test set", ("", "accuracy, %"), groups, heights)


def _group(outcome: Outcome) -> str:
    axes = outcome.point.axes
    return f"{str(axes['network']).split('(', maxsplit=1)[0]}\n{axes['data']}"


STUDY = Study(title="Incremental pruning in 20 epochs against iterative pruning in 200", points=_points, write=_write)
