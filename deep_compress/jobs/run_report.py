"""What `report.json` holds: a run from its recipe to the accuracy of its files, as one frozen value, and in words.

It joins what `compress` knows (the account of the file, the layers, the epochs), what `bench` measured and what
`export` wrote, so it lives above the three. `bench report` sees the few figures of it that a page shows, which
`figures` hands over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from bench.accuracy import Accuracy
from bench.report.results import RunFigures, read_json
from bench.versioned import Versioned
from compress.packed.account import FileAccount
from compress.report.layers import CodingBytes, LayerRow
from compress.training.epochs import EpochRecord

__all__ = ["FileAccuracy", "HeldOut", "RunReport", "TestAccuracy", "WrittenTarget", "read_report", "run_lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccuracy:
    """Images that a file got right, of how many, and in percent."""

    correct: int
    total: int
    percent: float

    @classmethod
    def of(cls, found: Accuracy) -> Self:
        """As it was measured."""
        return cls(correct=found.correct, total=found.total, percent=found.percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestAccuracy:
    """On the test images: `dense.onnx`, and `model.onnx` as it was read back from disk."""

    dense: FileAccuracy
    file: FileAccuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Loss in nats and accuracy in percent on the images held out from training; None where there are none."""

    loss: float | None
    percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTarget:
    """The names of the files that a target wrote, and lines about it, among them why it wrote none."""

    files: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport(Versioned):
    """A whole run.

    Parameters
    ----------
    recipe : mapping
        Every setting by its name, as `Recipe.flat` gives them.
    sparsity : float
        Fraction of the dense network's weights that are gone: pruned, or removed with a whole filter.
    dense_bytes, file_bytes : int
        The complete dense float32 weights; `model.dcz`.
    ratio : float
        The first over the second.
    coding : CodingBytes
    account : FileAccount
    layers : tuple of LayerRow
    test : TestAccuracy
    held_out : mapping of str to HeldOut
        By stage, in their order.
    onnx_difference : float
        Largest difference of `model.onnx` from the torch network, over the larger of 1 and the largest output.
    history : tuple of EpochRecord
    versions : mapping of str to str
    machine : str
    targets : mapping of str to WrittenTarget
        Empty in a report from before there were targets to choose.
    files : mapping of str to int
        Bytes of every file of the run, this report, its picture and the recipe left out.
    seconds : mapping of str to float
        By stage, and "whole run".
    """

    KIND: ClassVar[str] = "run"

    recipe: Mapping[str, Any]
    sparsity: float
    dense_bytes: int
    file_bytes: int
    ratio: float
    coding: CodingBytes
    account: FileAccount
    layers: tuple[LayerRow, ...]
    test: TestAccuracy
    held_out: Mapping[str, HeldOut]
    onnx_difference: float
    history: tuple[EpochRecord, ...]
    versions: Mapping[str, str]
    machine: str
    targets: Mapping[str, WrittenTarget] = field(default_factory=dict)
    files: Mapping[str, int]
    seconds: Mapping[str, float]

    @classmethod
    def from_json(cls, values: object) -> Self:
        """As every report is read; one from before there were versions tells its `format`, which was 1."""
        if isinstance(values, Mapping) and "version" not in values and values.get("format") == 1:
            values = {name: value for name, value in values.items() if name != "format"}
        return super(RunReport, cls).from_json(values)

    def figures(self) -> RunFigures:
        """What a page shows of it."""
        return RunFigures(
            sparsity=self.sparsity,
            file_bytes=self.file_bytes,
            ratio=self.ratio,
            dense_percent=self.test.dense.percent,
            file_percent=self.test.file.percent,
        )


def read_report(path: Path) -> RunReport:
    """Read a `report.json`.

    Raises
    ------
    BenchError
        It is not there, or is no report of a run.
    """
    return read_json(path, RunReport.from_json)


def run_lines(report: RunReport) -> list[str]:
    """A run's report in words."""
    coding, test = report.coding, report.test
    steps = [f"{stage} {value.percent:.2f} %" for stage, value in report.held_out.items() if value.percent is not None]
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in report.seconds.items())
    lines = [
        f"whole file: {report.file_bytes:,} bytes, {report.ratio:.1f}× under dense float32",
        f"sparsity: {report.sparsity:.4f} of the coded weights",
        f"codes and gaps: {coding.coded_bytes:,.0f} bytes with tables, entropy {coding.entropy_bytes:,.0f} bytes",
        f"test accuracy: dense {test.dense.percent:.2f} %, from the file {test.file.percent:.2f} %",
    ]
    if steps:
        lines.append(f"held-out accuracy after each stage: {', '.join(steps)}")
    for target, written in report.targets.items():
        lines += [f"target {target}: {remark}" for remark in written.remarks]
    return [*lines, f"seconds: {seconds}"]
