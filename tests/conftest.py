"""Fixtures that several rooms' tests share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("project", deadline=None)  # a shared machine's pauses are no failure
hypothesis.settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `compress` or `bench` as a user does: in a process of its own, from any directory."""

    def call(name: str, *arguments: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        code = f"import sys, cli; sys.argv[0] = {name!r}; cli.{name}()"
        environment = dict(os.environ, PYTHONPATH=str(ROOT), NO_COLOR="1", COLUMNS="160")
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return call
