"""Study D: the neurons of F6 merged one at a time by distinctiveness, until one is left; the network shrinks.

LeNet-5 with tanh and average pooling. Of every pair of neurons the cosine of their activations over the training
images is taken; the most alike pair becomes one neuron, then the network is retrained. Images are turned, and changed
in brightness and contrast. They also mirror theirs, which are of vehicles; a mirrored digit or shoe is none or
another, so ours are not mirrored.
"""

from collections.abc import Sequence
from pathlib import Path

from deep_compress.charts import plot_curves
from deep_compress.studies.axes import Point, point_of
from deep_compress.studies.results import markdown_table
from deep_compress.studies.study import PLAIN, Study, report_of, write_text
from deep_compress.studies.sweep import Outcome

__all__ = ["STUDY"]

_NEURONS = 84
"""That F6 of LeNet-5 has; one must stay."""

_REMOVED = (0, 83)
"""None, to compare with, and all but one; every count between lies on the way of the second."""

_SHOWN = (1, 21, 42, 63, 70, 74, 77, 79, 80, 81, 82, 83)
"""Neurons removed that the table of the way down shows; the plot shows all."""
_DATA = ("mnist", "fashion-mnist")


def _points() -> tuple[Point, ...]:
    base = {
        **PLAIN,
        "network": "lenet-5(activation=tanh,pool=average)",
        "momentum": 0.9,
        "epochs": 10,
        "rotation": 10.0,
        "brightness": 0.2,
        "contrast": 0.2,
        "merge_epochs": 1,
        "sparsity": 0.0,
        "bits": 8,
        "tune_epochs": 1,
    }
    points = []
    for data in _DATA:
        for removed in _REMOVED:
            merging = {"merge_layer": "f6"} if removed else {}
            points.append(point_of({**base, **merging}, {"data": data, "merge_neurons": removed}))
    return tuple(points)


def _write(outcomes: Sequence[Outcome], directory: Path) -> None:
    rows, curves = [], {}
    for outcome in outcomes:
        report = report_of(outcome)
        removed = outcome.point.axes["merge_neurons"]
        rows.append(
            [
                outcome.point.axes["data"],
                removed,
                _NEURONS - removed,
                f"{report.test.dense.percent:.2f}",
                f"{report.test.file.percent:.2f}",
                f"{report.file_bytes:,}",
                f"{report.files['model.onnx']:,}",
            ]
        )
        if removed == _NEURONS - 1:
            history = [record for record in report.history if record.stage.startswith("merge")]
            last = {
                int(record.stage.split()[1]): record.held_out_accuracy
                for record in history
                if record.held_out_accuracy is not None
            }
            curves[str(outcome.point.axes["data"])] = (list(last), list(last.values()))
    columns = ["data", "neurons removed", "left", "before: test %", "after: test % of the file", "model.dcz, B"]
    way = [
        [data, *(f"{dict(zip(*curve, strict=True)).get(removed, float('nan')):.2f}" for removed in _SHOWN)]
        for data, curve in curves.items()
    ]
    write_text(
        directory,
        markdown_table([*columns, "model.onnx, B"], rows),
        "Accuracy on held-out images, %, by neurons removed:",
        markdown_table(["data", *map(str, _SHOWN)], way),
    )
    plot_curves(
        directory / "accuracy.png",
        "Accuracy on held-out images after every merged neuron of F6 and an epoch of retraining",
        ("neurons removed", "accuracy, %"),
        curves,
    )


STUDY = Study(title="LeNet-5 with tanh: F6's most alike neurons merged one at a time", points=_points, write=_write)
