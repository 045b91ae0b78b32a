"""Study C: one setting of LeNet-5 on MNIST: ten epochs, half of the weights pruned, five epochs of fine-tuning."""

import json
from collections.abc import Sequence
from pathlib import Path

from compress.files import write_whole
from deep_compress.studies.axes import Point, point_of
from deep_compress.studies.results import markdown_table
from deep_compress.studies.study import PLAIN, Study, report_of, write_text
from deep_compress.studies.sweep import Outcome

__all__ = ["STUDY"]


def _points() -> tuple[Point, ...]:
    base = {
        **PLAIN,
        "network": "lenet-5",
        "epochs": 10,
        "momentum": 0.0,
        "sparsity": 0.5,
        "schedule": "one-shot",
        "retrain_epochs": 5,
    }
    return tuple(point_of(base, {"seed": seed}) for seed in range(3))


def _write(outcomes: Sequence[Outcome], directory: Path) -> None:
    results = []
    for outcome in outcomes:
        report = report_of(outcome)
        results.append(
            {
                "seed": outcome.point.axes["seed"],
                "before": {
                    "held_out_percent": report.held_out["train"].percent,
                    "test_percent": report.test.dense.percent,
                    "bytes": report.dense_bytes,
                },
                "after": {
                    "sparsity": report.sparsity,
                    "held_out_percent": report.held_out["prune"].percent,
                    "test_percent_of_the_file": report.test.file.percent,
                    "bytes": report.file_bytes,
                },
            }
        )
    write_whole(directory / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    columns = ["seed", "before: held-out %", "test %", "bytes", "after: held-out %", "test % of the file", "bytes"]
    rows = [
        [
            result["seed"],
            *(f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" for value in result["before"].values()),
            *(
                f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
                for name, value in result["after"].items()
                if name != "sparsity"
            ),
        ]
        for result in results
    ]
    write_text(directory, markdown_table(columns, rows))


STUDY = Study(title="LeNet-5, half of the weights pruned once, fine-tuned", points=_points, write=_write)
