"""What an installation brings: the names and files of the wheel, the commands' versions, and `python -m`."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from deep_compress import __version__

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"compress", "export", "bench", "deep_compress"}
NOT_SOURCE = (".*", "runs", "build", "dist", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, because setuptools writes into the tree that it builds."""
    return Path(
        shutil.copytree(ROOT, tmp_path_factory.mktemp("source") / "tree", ignore=shutil.ignore_patterns(*NOT_SOURCE))
    )


@pytest.fixture(scope="module")
def wheel(source: Path) -> dict[str, bytes]:
    """The files of the wheel, built as pip builds it, but by the setuptools that is here: no network is asked."""
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, source.parent], cwd=source, check=True, capture_output=True, timeout=300
    )
    [path] = source.parent.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(wheel: dict[str, bytes]) -> Message:
    return message_from_bytes(wheel[f"deep_compress-{__version__}.dist-info/METADATA"])


def test_the_wheel_adds_no_name_but_these(wheel: dict[str, bytes]) -> None:
    assert {name.partition("/")[0] for name in wheel} == {*ROOMS, "cli.py", f"deep_compress-{__version__}.dist-info"}


def test_the_wheel_holds_every_file_of_the_rooms(wheel: dict[str, bytes], source: Path) -> None:
    found = [path for room in ROOMS for path in (source / room).rglob("*") if path.is_file()]
    files = {path.relative_to(source).as_posix() for path in found}
    assert {name for name in wheel if name.partition("/")[0] in ROOMS} == files
    assert {f"{room}/py.typed" for room in ROOMS} | {"compress/packed/FORMAT.md"} <= files


def test_the_wheel_carries_both_licences(wheel: dict[str, bytes], metadata: Message) -> None:
    assert metadata["License-Expression"] == "MIT AND CC-BY-SA-3.0"
    for licence in ("LICENSE", "compress/datasets/mnist/LICENSE"):
        assert wheel[f"deep_compress-{__version__}.dist-info/licenses/{licence}"] == (ROOT / licence).read_bytes()


def test_the_wheel_has_one_version_and_two_commands(wheel: dict[str, bytes], metadata: Message) -> None:
    assert metadata["Version"] == __version__
    text = wheel[f"deep_compress-{__version__}.dist-info/entry_points.txt"].decode()
    assert text.split() == ["[console_scripts]", "bench", "=", "cli:bench", "compress", "=", "cli:compress"]


@pytest.mark.parametrize("name", ["compress", "bench"])
def test_a_command_tells_its_version_and_those_that_matter(
    name: str, command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ours, others = command(name, "--version", cwd=tmp_path).stdout.splitlines()
    assert ours == f"deep-compress {__version__}"
    assert [part.split()[0] for part in others.split(", ")] == ["Python", "torch", "onnx", "onnxruntime"]


def test_a_package_that_is_not_there_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from deep_compress.commands import main

    monkeypatch.setattr(main, "_RUNTIMES", ("onnxruntime-of-nobody",))
    assert main._versions().endswith(", no package onnxruntime-of-nobody")


@pytest.mark.parametrize("name", ["compress", "bench"])
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(name: str, option: str) -> None:
    code = (
        f"import atexit, sys, cli; sys.argv = [{name!r}, {option!r}]\n"
        "heavy = ('torch', 'onnxruntime', 'matplotlib', 'scipy')\n"
        "atexit.register(lambda: print([module for module in heavy if module in sys.modules]))\n"
        f"cli.{name}()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["compress", "bench"])
def test_a_command_runs_as_a_module_too(
    name: str, command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for arguments in (["--version"], ["no-such-command"]):
        module = subprocess.run(
            [sys.executable, "-m", name, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        script = command(name, *arguments, cwd=tmp_path, check=False)
        assert (module.returncode, module.stdout, module.stderr) == (script.returncode, script.stdout, script.stderr)
