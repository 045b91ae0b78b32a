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
FOLDERS: dict[str, dict[str, set[str]]] = {
    "compress": {
        "coding": set(),
        "datasets": set(),
        "networks": {"graph"},
        "share": set(),
        "training": {"graph", "networks", "recipe"},
        "prune": {"graph", "networks", "recipe"},
        "recipe": {"datasets", "networks", "prune", "share", "training"},
        "graph": {"networks"},
        "onnx_file": {"graph"},
        "packed": {"coding", "graph"},
        "rounding": {"coding", "graph", "onnx_file", "share"},
        "report": {"packed", "training"},
        "front_ends": {"graph", "networks", "onnx_file", "prune", "recipe", "rounding", "share", "training"},
    },
    "deep_compress": {
        "jobs": set(),
        "search": {"jobs"},
        "studies": {"jobs"},
        "commands": {"jobs", "search", "studies"},
    },
}
"""Room → its folders, each with the other ones that it may know.

Stages (`training`, `prune`, `share`) know the recipe and the networks, and never each other: the front ends put them
together; what `rounding` does without training they use too. The recipe names the choices of all.
"""

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


@pytest.mark.parametrize(("room", "folder"), [(room, folder) for room in FOLDERS for folder in FOLDERS[room]])
def test_a_folder_knows_only_those_that_it_may(room: str, folder: str) -> None:
    allowed = {folder, *FOLDERS[room][folder]}
    for path in sorted((ROOT / room / folder).rglob("*.py")):
        used = {tuple(name.split(".")[:2]) for name in _imports(path)}
        assert {name for root, *rest in used if root == room for name in rest} & FOLDERS[room].keys() <= allowed, path


@pytest.mark.parametrize("room", FOLDERS)
def test_every_folder_has_its_rule(room: str) -> None:
    assert {path.parent.name for path in (ROOT / room).glob("*/__init__.py")} == FOLDERS[room].keys()


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
