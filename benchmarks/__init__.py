"""Benchmarks that the documentation quotes; each prints its table and keeps raw results with --json."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.environment import environment

__all__ = ["keep"]


def keep(path: Path | None, **results: Any) -> None:
    """Write results as JSON, and the environment that they are from; nothing where no path is given."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"environment": asdict(environment()), **results}, indent=1) + "\n", "utf-8")
