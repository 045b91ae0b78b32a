"""A shell is offered the commands, their options, and the names that an option takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compress.datasets import DATASETS
from compress.networks import NETWORKS
from compress.prune import CRITERIA
from compress.rounding.methods import ROUNDINGS
from deep_compress.back_ends import BACK_ENDS
from export import TARGETS

ROOT = Path(__file__).resolve().parents[2]


def _offered(line: str) -> list[str]:
    """What bash would offer behind the line, asked as its completion script asks."""
    *before, _ = words = line.split(" ")
    name = words[0]
    asked = {f"_{name.upper()}_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(before))}
    code = (
        f"import atexit, sys, cli; sys.argv = [{name!r}]\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        f"cli.{name}()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == "False\n", "every key would wait for torch"
    return done.stdout.split()


def test_the_commands() -> None:
    assert _offered("compress e") == ["export", "eval"]
    assert _offered("bench ") == ["size", "latency", "layers", "energy", "report"]


def test_the_options_of_a_command() -> None:
    assert _offered("compress export --o") == ["--out"]
    assert _offered("bench latency --w") == ["--warm-up"]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("compress export model.dcz --target ", TARGETS),
        ("compress onnx in.onnx --target ", BACK_ENDS),
        ("compress onnx in.onnx --rounding ", ROUNDINGS),
        ("compress run --network ", NETWORKS),
        ("compress sensitivity --data ", DATASETS),
        ("compress search --criterion ", CRITERIA),
    ],
)
def test_the_names_that_an_option_takes(line: str, names: dict[str, object]) -> None:
    assert _offered(line) == list(names)
    first = next(iter(names))
    assert _offered(line + first[:2]) == [name for name in names if name.startswith(first[:2])]


@pytest.mark.parametrize("name", ["compress", "bench"])
def test_the_script_that_a_shell_is_to_load(name: str) -> None:
    """Typer's own `--show-completion` writes the same, for the shell that it was called from."""
    code = f"import sys, cli; sys.argv = [{name!r}]; cli.{name}()"
    environment = {**os.environ, f"_{name.upper()}_COMPLETE": "source_bash"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert f"_{name.upper()}_COMPLETE=complete_bash" in done.stdout
    assert f"complete -o default -F _{name}_completion {name}" in done.stdout
