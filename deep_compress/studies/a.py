"""Study A: global L1 against global random pruning of the classical LeNet-5, at ten sparsities.

Ten epochs of SGD (0.01, momentum 0.9, batches of 128), one round of pruning, retraining.
"""

from collections.abc import Sequence
from pathlib import Path

from deep_compress.charts import plot_bars, plot_curves
from deep_compress.studies.axes import Point, point_of
from deep_compress.studies.results import markdown_table
from deep_compress.studies.study import PLAIN, Study, report_of, write_text
from deep_compress.studies.sweep import Outcome

__all__ = ["STUDY"]

_SPARSITIES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Ten bars, closer where the accuracy falls."""

_CRITERIA = ("l1", "random")
_RETRAIN_EPOCHS = 5
"""Half of those of dense training."""


def _points() -> tuple[Point, ...]:
    base = {
        **PLAIN,
        "network": "lenet-5",
        "epochs": 10,
        "momentum": 0.9,
        "schedule": "one-shot",
        "retrain_epochs": _RETRAIN_EPOCHS,
    }
    return tuple(
        point_of(base, {"criterion": criterion, "sparsity": sparsity})
        for criterion in _CRITERIA
        for sparsity in _SPARSITIES
    )


def _write(outcomes: Sequence[Outcome], directory: Path) -> None:
    by_axes = {
        (outcome.point.axes["criterion"], outcome.point.axes["sparsity"]): report_of(outcome) for outcome in outcomes
    }
    dense = report_of(outcomes[0])
    coded = [row.layer for row in dense.layers if row.weight_bits is not None]
    per_layer = []
    for sparsity in _SPARSITIES:
        if ("l1", sparsity) not in by_axes:
            continue
        kept = {row.layer: 100 * (1 - row.kept / row.weights) for row in by_axes["l1", sparsity].layers}
        per_layer.append([sparsity, *(f"{kept[name]:.1f}" for name in coded)])
    costs = []
    for sparsity in _SPARSITIES:
        row: list[object] = [sparsity]
        for criterion in _CRITERIA:
            report = by_axes.get((criterion, sparsity))
            if report is None:
                row += ["not run"] * 4
                continue
            seconds = report.seconds
            row += [
                f"{report.held_out['prune'].percent:.2f}",
                f"{report.test.file.percent:.2f}",
                f"{report.file_bytes:,}",
                f"{seconds['train'] + seconds['prune']:.0f}",
            ]
        costs.append(row)
    columns = ["sparsity"]
    for criterion in _CRITERIA:
        columns += [f"{criterion}: held-out % after retraining", "test % of the file", "bytes", "training s"]
    write_text(
        directory,
        "### Sparsity per layer, global L1, % of the layer's weights",
        markdown_table(["sparsity asked for", *(name.removesuffix(".weight") for name in coded)], per_layer),
        "### Accuracy, size and training time",
        f"Dense: {dense.test.dense.percent:.2f} % of the test set, {dense.dense_bytes:,} B as float32.",
        markdown_table(columns, costs),
    )
    for criterion in _CRITERIA:
        curves = {}
        for sparsity in _SPARSITIES:
            if (criterion, sparsity) not in by_axes:
                continue
            losses = [record.loss for record in by_axes[criterion, sparsity].history if record.stage != "tune"]
            curves[f"{sparsity:g}"] = (list(range(1, len(losses) + 1)), losses)
        plot_curves(
            directory / f"loss-{criterion}.png",
            f"Training loss, pruned by {criterion} after epoch 10, for every sparsity",
            ("epoch", "training loss, nats"),
            curves,
        )
    plot_bars(
        directory / "accuracy.png",
        "LeNet-5 on MNIST: accuracy of the file on the test set",
        ("sparsity", "accuracy, %"),
        [f"{sparsity:g}" for sparsity in _SPARSITIES],
        {
            criterion: [
                by_axes[criterion, sparsity].test.file.percent if (criterion, sparsity) in by_axes else float("nan")
                for sparsity in _SPARSITIES
            ]
            for criterion in _CRITERIA
        },
    )


STUDY = Study(title="LeNet-5, global L1 against random pruning at ten sparsities", points=_points, write=_write)
