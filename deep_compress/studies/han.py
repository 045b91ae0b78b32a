"""Han et al. 2015 and 2016: LeNet-300-100 and Caffe's LeNet-5, a threshold a layer, their tables beside ours.

Learning both weights and connections for efficient neural networks (2015), table 1; Deep Compression (2016), tables 2
and 3. A layer's threshold is a multiple of its standard deviation (criterion `layer-std`). They give the multiples
nowhere; ours are those that leave their share of weights in every layer, found by ranking.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deep_compress.charts import plot_bars
from deep_compress.jobs.run_report import RunReport
from deep_compress.studies.axes import Point, point_of
from deep_compress.studies.results import markdown_table, mean_and_spread
from deep_compress.studies.study import Study, report_of, write_text
from deep_compress.studies.sweep import Outcome

__all__ = ["STUDY"]

_SEEDS = (0, 1, 2)
"""Three give a spread; the six runs take about 11 minutes."""

_COMMON = {
    "criterion": "layer-std",
    "scope": "per-layer",
    "schedule": "iterative",
    "rounds": 3,
    "round_epochs": 1,
    "learning_rate": 0.05,
    "retrain_learning_rate": 0.02,
    "tune_epochs": 1,
}

_NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "lenet-300-100": {
        "epochs": 15,
        "shift": 1,
        "retrain_epochs": 10,
        "bits": "6",
        "layer_sparsity": {"ip1": 0.92, "ip2": 0.91, "ip3": 0.74},
    },
    "lenet-5-caffe": {
        "epochs": 5,
        "retrain_epochs": 5,
        "bits": "conv=8,fc=5",
        "layer_sparsity": {"conv1": 0.34, "conv2": 0.88, "ip1": 0.92, "ip2": 0.81},
    },
}
"""Sparsities and bits are theirs, layer by layer; epochs are ours: runs of minutes that end below their error."""

_THEIRS: Mapping[str, Mapping[str, Any]] = {
    "lenet-300-100": {
        "layers": (
            ("ip1", 8, "6 → 4.4", "5 → 3.7", 2.32),
            ("ip2", 9, "6 → 4.4", "5 → 4.3", 3.04),
            ("ip3", 26, "6 → 4.3", "5 → 3.2", 12.70),
        ),
        "errors": "1.64 → 1.58",
        "bytes": "27,000",
        "ratio": "40×",
    },
    "lenet-5-caffe": {
        "layers": (
            ("conv1", 66, "8 → 7.2", "5 → 1.5", 67.45),
            ("conv2", 12, "8 → 7.2", "5 → 3.9", 5.28),
            ("ip1", 8, "5 → 4.5", "5 → 4.5", 2.45),
            ("ip2", 19, "5 → 5.2", "5 → 3.7", 6.13),
        ),
        "errors": "0.80 → 0.74",
        "bytes": "44,000",
        "ratio": "39×",
    },
}
"""Figures of Deep Compression's tables 2 and 3: layer, weights kept (%), bits of a weight and of an index before and
after Huffman coding, bytes as a share of the dense layer (%)."""


def _points() -> tuple[Point, ...]:
    return tuple(
        point_of({**_COMMON, **fields}, {"network": network, "seed": seed})
        for network, fields in _NETWORKS.items()
        for seed in _SEEDS
    )


def _write(outcomes: Sequence[Outcome], directory: Path) -> None:
    parts, errors = [], {}
    for network, theirs in _THEIRS.items():
        reports = [report_of(outcome) for outcome in outcomes if outcome.point.axes["network"] == network]
        if not reports:
            continue
        dense = [100 - report.test.dense.percent for report in reports]
        file = [100 - report.test.file.percent for report in reports]
        errors[network] = (statistics.fmean(dense), statistics.fmean(file))
        bytes_ours = [float(report.file_bytes) for report in reports]
        whole: list[list[object]] = [
            ["Deep Compression", theirs["errors"], theirs["bytes"], theirs["ratio"]],
            [
                f"ours, mean of {len(reports)} seeds, whole file",
                f"{mean_and_spread(dense)} → {mean_and_spread(file)}",
                f"{statistics.fmean(bytes_ours):,.0f} ({min(bytes_ours):,.0f} to {max(bytes_ours):,.0f})",
                f"{statistics.fmean(report.ratio for report in reports):.1f}×",
            ],
        ]
        parts += [
            f"### {network}",
            markdown_table(["", "error on the test set, %, before → after", "bytes", "ratio"], whole),
            _layers(reports[0], theirs["layers"]),
        ]
    write_text(directory, *parts)
    plot_bars(
        directory / "error.png",
        "Error on the test set before and after compression, mean over seeds",
        ("", "error, %"),
        list(errors),
        {"dense": [pair[0] for pair in errors.values()], "file": [pair[1] for pair in errors.values()]},
    )


def _layers(report: RunReport, theirs: Sequence[tuple[Any, ...]]) -> str:
    coded = [row for row in report.layers if row.weight_bits is not None]
    rows = []
    for (name, kept, weight, index, share), row in zip(theirs, coded, strict=True):
        rows.append(
            [
                name,
                kept,
                f"{100 * row.kept / row.weights:.1f}",
                weight,
                f"{row.weight_bits:g} → {row.weight_bits_coded:.1f}",
                index,
                f"{row.index_bits:.2g} → {row.index_bits_coded:.1f}",
                share,
                f"{100 * row.payload_bytes / row.dense_bytes:.2f}",
            ]
        )
    columns = ["layer", "kept %", "ours", "weight bits", "ours", "index bits", "ours", "bytes, % of dense", "ours"]
    return markdown_table(columns, rows)


STUDY = Study(title="Han et al.: LeNet-300-100 and Caffe's LeNet-5 beside their tables", points=_points, write=_write)
