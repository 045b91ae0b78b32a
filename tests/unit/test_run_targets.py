"""What a run writes beside its packed file: which targets, and what is said where one is not written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from observers import Notes
from onnx import helper
from onnx_models import compressed, onnx_model
from stand_in_reports import run_report

from compress.errors import UnsupportedError, UsageError
from compress.graph import Graph, graph_of_model
from deep_compress.jobs import run_targets
from deep_compress.jobs.run_report import WrittenTarget, run_lines
from deep_compress.jobs.run_targets import check_targets, write_targets
from export import TARGETS
from export.onnx.coded import plan_of_model
from export.onnx.remarks import remarks_on

ONE = "allowed exactly one of onnx, onnx-dense, onnx-fixed, and others"
FIXED = "fixed widths, to spare memory at load"


def with_operator(operator: str) -> Graph:
    """A fully connected layer and an operator behind it."""
    nodes = [
        helper.make_node("MatMul", ["input", "w"], ["h"]),
        helper.make_node(operator, ["h"], ["logits"], name="last"),
    ]
    stored = {"w": np.ones((8, 4), np.float32)}
    model = onnx_model(nodes, stored, inputs={"input": ["n", 8]}, outputs={"logits": ["n", 4]})
    return graph_of_model(model, {"w": (8, 4)})


def test_by_default_a_run_writes_onnx_and_c(tmp_path: Path) -> None:
    model, notes = compressed(), Notes()
    written = write_targets(model, None, tmp_path, notes)
    assert written == {
        "onnx": WrittenTarget(files=("model.onnx",), remarks=()),
        "c": WrittenTarget(files=("model.c", "model.h"), remarks=()),
    }
    assert notes.notes == []
    wanted = {**TARGETS["onnx"].dumps(model), **TARGETS["c"].dumps(model)}
    assert {path.suffix: path.read_bytes() for path in tmp_path.iterdir()} == wanted


def test_the_targets_asked_for_are_written_and_no_others(tmp_path: Path) -> None:
    assert list(write_targets(compressed(), ("onnx-fixed",), tmp_path, Notes())) == ["onnx-fixed"]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_operator_that_c_does_not_know_is_a_remark(tmp_path: Path) -> None:
    notes = Notes()
    written = write_targets(compressed(graph=with_operator("Erf")), ("onnx", "c"), tmp_path, notes)
    [remark] = written["c"].remarks
    assert remark.startswith("not written: last: found operator Erf, the c target allows Add, ")
    assert written["c"].files == ()
    assert notes.notes == [("export c", remark)]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_onnx_target_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> dict[str, bytes]:
        raise UnsupportedError("opset: found 7")

    monkeypatch.setattr(
        run_targets,
        "TARGETS",
        {"onnx": type(TARGETS["onnx"])(summary="refuses", suffixes=(".onnx",), write=refuse)},
    )
    with pytest.raises(UnsupportedError, match=r"^opset: found 7$"):
        write_targets(compressed(), ("onnx",), tmp_path, Notes())


def test_no_c_file_of_a_large_network_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_targets, "_LARGE", 100)
    model = compressed(graph=with_operator("Relu"), sparsity=0.0)
    assert write_targets(model, None, tmp_path, Notes())["c"].files == ("model.c", "model.h")
    monkeypatch.setattr(run_targets, "_LARGE", 30)
    assert write_targets(model, None, tmp_path, Notes())["c"] == WrittenTarget(
        files=(), remarks=("not written: 31 weights are left, more than 30; --targets onnx,c writes it",)
    )
    assert write_targets(model, ("onnx", "c"), tmp_path, Notes())["c"].files == ("model.c", "model.h")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("onxx", "c"), f"targets: found 'onxx', allowed {', '.join(TARGETS)}, nearest: onnx"),
        (("c",), f"targets: found c, {ONE}"),
        ((), f"targets: found none, {ONE}"),
        (("onnx", "onnx-dense"), f"targets: found onnx, onnx-dense, {ONE}"),
        (("onnx", "c", "c"), f"targets: found onnx, c, c, {ONE}"),
    ],
)
def test_targets_that_no_run_can_have_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_targets(names)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("forced", "memory", "lines"),
    [
        ((), 3 << 20, ()),
        (
            ("a.weight", "b.weight"),
            7 << 19,
            (f"{FIXED}: a.weight, b.weight (decoding takes about 3.5 MiB, allowed 4.0 MiB)",),
        ),
        (
            ("a.weight",),
            5 << 20,
            (f"{FIXED}: a.weight (decoding takes about 5.0 MiB even so, allowed 4.0 MiB)",),
        ),
    ],
)
def test_layers_of_fixed_width_are_named(forced: tuple[str, ...], memory: int, lines: tuple[str, ...]) -> None:
    plan = replace(plan_of_model(compressed()), forced=forced, memory=memory, max_load_memory=4 << 20)
    assert remarks_on(plan, 0, 1 << 20) == lines


def test_a_run_says_what_was_not_written() -> None:
    report = run_report(
        targets={
            "onnx": WrittenTarget(files=("model.onnx",), remarks=()),
            "c": WrittenTarget(files=(), remarks=("not written: x",)),
        }
    )
    assert "target c: not written: x" in run_lines(report)
    assert not any(line.startswith("target onnx") for line in run_lines(report))
    assert not any(line.startswith("target") for line in run_lines(run_report(targets={})))
