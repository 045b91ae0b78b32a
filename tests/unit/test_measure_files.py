"""Which files of a run `bench` measures: those that a chosen runtime takes, and those that are there."""

import os
from pathlib import Path
from typing import Any

import pytest

from compress.errors import CompressError
from deep_compress.jobs.measure import _expand, _taken, newest_run

EVERY = ("dense.onnx", "model.onnx", "model.c")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, EVERY),
        ({"runtimes": ()}, EVERY),
        ({"runtimes": ("onnxruntime",)}, EVERY[:2]),
        ({"runtimes": ("c",)}, EVERY[2:]),
        ({"runtimes": ("c-inside", "openvino")}, EVERY),
        ({"runtimes": ("all",)}, EVERY),
        ({"device": "cuda"}, EVERY[:2]),
        ({"device": "cuda", "runtimes": ("all",)}, EVERY[:2]),
        ({"runtimes": ("of-no-kind",)}, EVERY),
        ({"device": "tpu"}, EVERY),
    ],
)
def test_a_run_stands_for_the_files_that_a_chosen_runtime_takes(
    settings: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert _taken(settings) == names


def test_a_run_without_c_stands_for_what_it_has(tmp_path: Path) -> None:
    for name in EVERY[:2]:
        (tmp_path / name).write_bytes(b"some")
    assert [path.name for path in _expand([tmp_path], EVERY)] == ["dense.onnx", "model.onnx"]
    assert _expand([tmp_path, tmp_path / "model.onnx"], EVERY[:1]) == (tmp_path / "dense.onnx", tmp_path / "model.onnx")
    with pytest.raises(CompressError) as caught:
        _expand([tmp_path], EVERY[2:])
    assert str(caught.value) == f"{tmp_path}: found none of model.c, allowed a run or a file"


def test_the_newest_run_may_be_that_of_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CompressError, match="found no run"):
        newest_run()
    for age, place in enumerate(("runs/found/run", "runs/plain")):
        Path(place).mkdir(parents=True)
        report = Path(place, "report.json")
        report.write_text("{}", "utf-8")
        os.utime(report, ns=(10**18 - age, 10**18 - age))
    assert newest_run() == Path("runs/found/run")
    os.utime("runs/plain/report.json", ns=(2 * 10**18, 2 * 10**18))
    assert newest_run() == Path("runs/plain")
