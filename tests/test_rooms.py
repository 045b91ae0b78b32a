"""The borders between the rooms hold: who may import whom, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ABOVE = {"cli", "deep_compress"}
FORBIDDEN = {
    "compress": {"export", "bench", *ABOVE},
    "export": {"bench", *ABOVE},
    "bench": {"compress", "export", *ABOVE},
    "deep_compress": {"cli"},
}
DOORS = {"compress/__main__.py": {"cli"}, "bench/__main__.py": {"cli"}}
"""`python -m compress` and `python -m bench` find their file in the room, but what they start lies above it."""
PIPELINE = {
    "compress.front_ends.module",
    "compress.prune.pruner",
    "compress.training.trainer",
    "compress.recipe.recipe",
}
OPEN_TO_EXPORT = {"representation", "elements", "graph", "coding", "errors"}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_room_reaches_into_one_it_must_not_know(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        roots = {name.split(".")[0] for name in _imports(path)}
        assert roots & FORBIDDEN[room] == DOORS.get(path.relative_to(ROOT).as_posix(), set()), path


def test_export_knows_little_of_compress() -> None:
    for path in sorted((ROOT / "export").rglob("*.py")):
        used = {name.split(".")[1] for name in _imports(path) if name.startswith("compress.")}
        assert used <= OPEN_TO_EXPORT, path


def test_only_the_pipeline_knows_the_stages() -> None:
    stages = {"compress.training.epochs", "compress.prune", "compress.share.k_means"}
    for path in sorted((ROOT / "compress").rglob("*.py")):
        own = "compress." + path.relative_to(ROOT / "compress").with_suffix("").as_posix().replace("/", ".")
        if own in PIPELINE or own.startswith("compress.rounding."):
            continue  # the two pipelines, one for training and one for ONNX files, and what names their choices
        for name in _imports(path):
            touched = {stage for stage in stages if name == stage or name.startswith(f"{stage}.")}
            home = {
                stage for stage in stages if own == stage or own.startswith(f"{stage}.") or own == f"{stage}.__init__"
            }
            assert touched <= home or name == "compress.training.epochs.EpochRecord", (path, name)


@pytest.mark.parametrize("module", ["cli", "compress", "export", "bench", "deep_compress"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    heavy = ("torch", "torchvision", "onnxruntime", "matplotlib", "scipy", "pandas")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_pickle_no_eval_anywhere() -> None:
    banned = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}
    for room in ("compress", "export", "bench", "deep_compress", "benchmarks"):
        for path in sorted((ROOT / room).rglob("*.py")):
            assert not {name.split(".")[0] for name in _imports(path)} & banned, path
            calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
            names = {call.id for call in calls if isinstance(call, ast.Name)}
            assert not names & {"eval", "exec"}, path
            loads = [call for call in calls if isinstance(call, ast.Attribute) and call.attr == "load"]
            assert not [call for call in loads if isinstance(call.value, ast.Name) and call.value.id == "torch"], path
