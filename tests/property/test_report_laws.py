"""Reports are the same after a way through JSON, and whatever is wrong with the JSON is told in one line."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.energy import EnergyReport, EnergyRow
from bench.environment import Environment
from bench.errors import ReportError
from bench.latency.values import LatencyReport, Measurement
from bench.layers.values import Crossover, LayerMeasurement, LayersReport
from bench.size import SizeReport, SizeRow
from bench.versioned import Versioned
from compress.packed.account import FileAccount, TensorAccount
from compress.report.layers import LayerRow
from compress.training.epochs import EpochRecord
from deep_compress.jobs.run_report import HeldOut, RunReport, WrittenTarget

NAME = st.text(max_size=4)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | NAME
OBJECTS = st.dictionaries(NAME, PLAIN | st.lists(PLAIN, max_size=2), max_size=2)
WORDS = st.dictionaries(NAME, NAME, max_size=2)
SAMPLES = st.none() | arrays(np.int64, (2, 3), elements=st.integers(1, 10**12))


def some(kind: type[Any], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.builds(kind, **fields), max_size=1).map(tuple)


def named(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAME, st.builds(kind), max_size=2)


ENVIRONMENT = st.builds(Environment, gpus=st.lists(WORDS, max_size=1).map(tuple), packages=WORDS)
REPORTS: dict[type[Versioned], st.SearchStrategy[Any]] = {
    SizeReport: st.builds(SizeReport, rows=some(SizeRow)),
    LatencyReport: st.builds(
        LatencyReport,
        environment=ENVIRONMENT,
        measurements=some(Measurement, details=OBJECTS, latency_ns=SAMPLES),
    ),
    LayersReport: st.builds(
        LayersReport,
        environment=ENVIRONMENT,
        measurements=some(LayerMeasurement, latency_ns=SAMPLES),
        crossovers=some(Crossover),
    ),
    EnergyReport: st.builds(EnergyReport, environment=ENVIRONMENT, rows=some(EnergyRow)),
    RunReport: st.builds(
        RunReport,
        recipe=OBJECTS,
        account=st.builds(FileAccount, tensors=some(TensorAccount)),
        layers=some(LayerRow),
        held_out=named(HeldOut),
        history=some(EpochRecord),
        versions=WORDS,
        targets=named(WrittenTarget),
        files=named(int),
        seconds=named(float),
    ),
}
FEW = settings(max_examples=25)
"""A report has tens of fields: few examples hold many values."""

KINDS = pytest.mark.parametrize("kind", REPORTS, ids=lambda kind: kind.KIND)


@KINDS
@FEW
@given(data=st.data())
def test_a_report_comes_back_as_it_was(kind: type[Versioned], data: st.DataObject) -> None:
    report = data.draw(REPORTS[kind])
    text = json.dumps(report.to_json())
    again = kind.from_json(json.loads(text))
    # By their words, since a NaN does not equal itself.
    assert repr(again) == repr(report)
    assert json.dumps(again.to_json()) == text


@KINDS
@FEW
@given(data=st.data())
def test_what_is_wrong_is_told_in_one_line(kind: type[Versioned], data: st.DataObject) -> None:
    values = data.draw(REPORTS[kind]).to_json()
    name = data.draw(st.sampled_from([name for name in values if name not in ("kind", "version", "targets")]))

    def told(changed: object) -> str:
        with pytest.raises(ReportError) as caught:
            kind.from_json(changed)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    rest = {key: value for key, value in values.items() if key != name}
    assert told(rest) == f"found no {name}, allowed a complete file of kind {kind.KIND}"
    assert told({**values, "colour": 1}) == f"found a field colour, allowed those of kind {kind.KIND} only"
    wrong = "x\n" if name == "recipe" else {"x\n": [None]}
    assert told({**values, name: wrong}).count("allowed") == 1
    assert told({**values, "version": 2}) == f"found version 2 of kind {kind.KIND}, allowed 1"
    assert told({**values, "version": True}) == f"found version True of kind {kind.KIND}, allowed 1"
    assert told({**values, "kind": "a\npoem"}) == f"found kind 'a\\npoem', allowed {kind.KIND}"
    assert told([values]) == "found list, allowed a JSON object"


@KINDS
@FEW
@given(data=st.data())
def test_a_report_without_a_version_is_of_the_first(kind: type[Versioned], data: st.DataObject) -> None:
    report = data.draw(REPORTS[kind])
    values = {name: value for name, value in report.to_json().items() if name not in ("kind", "version")}
    assert repr(kind.from_json(values)) == repr(report)


@FEW
@given(report=REPORTS[RunReport])
def test_a_run_s_report_may_tell_its_format_instead(report: RunReport) -> None:
    values = {name: value for name, value in report.to_json().items() if name not in ("kind", "version")}
    assert repr(RunReport.from_json({"format": 1, **values})) == repr(report)
    with pytest.raises(ReportError, match=r"^found a field format, allowed those of kind run only$"):
        RunReport.from_json({"format": 2, **values})


def test_samples_are_rows_of_one_length() -> None:
    with pytest.raises(ReportError, match=r"latency_ns: found \[\[1, 2\], \[3\]\], allowed rows of one length$"):
        _with_samples([[1, 2], [3]])
    with pytest.raises(ReportError, match=r"latency_ns\.0\.0: found 1\.5, allowed a valid integer$"):
        _with_samples([[1.5]])


def _with_samples(rows: list[list[Any]]) -> LatencyReport:
    fields = {
        "files": ["a"], "batch_sizes": [1], "threads": 1, "device": "cpu", "warm_up": 0, "iterations": 1, "rounds": 1,
        "max_seconds": 1.0, "seed": 0, "inputs": "given", "cpus": None,
    }  # fmt: skip
    machine = {
        "cpu": {"model": "m", "flags": [], "logical_cores": 1, "usable_cores": 1, "governor": None},
        "memory_bytes": 1, "gpus": [], "system": "s", "python": "p", "compiler": None, "packages": {},
        "load_average": None,
    }  # fmt: skip
    measured = {"label": "a", "runtime": "torch", "batch_size": 1, "status": "measured", "latency_ns": rows}
    return LatencyReport.from_json(
        {"settings": fields, "unstable_rule": "", "environment": machine, "measurements": [measured]}
    )
