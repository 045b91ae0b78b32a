"""What is told of the machine: enough to judge a number, nothing that names the machine or its folders."""

import json
import platform
import stat
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bench.environment import cpu_flags, cpu_model, describe_gpus, environment


def test_the_description_is_json_and_names_versions() -> None:
    values = json.loads(json.dumps(asdict(environment())))
    assert values["packages"]["numpy"] == np.__version__
    assert values["cpu"]["model"]
    assert 1 <= values["cpu"]["usable_cores"] <= values["cpu"]["logical_cores"]
    assert values["memory_bytes"] > 2**28
    assert values["python"].endswith(platform.python_version())


def test_it_holds_no_host_name_and_no_folder() -> None:
    text = json.dumps(asdict(environment()))
    assert platform.node() == "" or f'"{platform.node()}"' not in text
    assert str(Path.cwd()) not in text
    assert str(Path.home()) not in text


@pytest.mark.parametrize(
    ("cpuinfo", "model", "flags"),
    [
        ("model name\t: A 1\nflags\t\t: sse4_2 avx512_bf16 avx\n", "A 1", ("sse4_2", "avx", "avx512_bf16")),
        ("Model\t: Board 5\nFeatures\t: fp asimd asimddp\n", "Board 5", ("asimd", "asimddp")),
        ("", None, ()),
    ],
)
def test_processors_as_they_describe_themselves(cpuinfo: str, model: str | None, flags: tuple[str, ...]) -> None:
    assert cpu_model(cpuinfo) == (model or platform.processor() or platform.machine())
    assert cpu_flags(cpuinfo) == flags


def _fake_tool(folder: Path, script: str) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def test_a_gpu_is_described_as_its_driver_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_tool(tmp_path, "echo 'Example GPU, 550.1, 8192 MiB, 1980 MHz, 700 W'")
    monkeypatch.setenv("PATH", str(tmp_path))
    (gpu,) = describe_gpus()
    assert (gpu["name"], gpu["driver_version"], gpu["memory.total"]) == ("Example GPU", "550.1", "8192 MiB")


def test_without_a_gpu_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_gpus() == ()
    _fake_tool(tmp_path, "exit 9")
    assert describe_gpus() == ()
