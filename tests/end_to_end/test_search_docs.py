"""Every command in docs/search.md is one that the command line takes, and every file that it names is one that a search
writes."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from compress.sizes import parse_size
from deep_compress.commands import search
from deep_compress.commands.main import COMPRESS
from deep_compress.search.goal import Goal

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "search.md").read_text("utf-8")
COMMANDS = re.findall(r"^    (compress .*?)(?: +#.*)?$", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_parsed(line: str) -> None:
    words = shlex.split(line)[1:]
    app = typer.main.get_command(COMPRESS)
    assert isinstance(app, typer.core.TyperGroup)
    context = app.make_context("compress", list(words))
    name, found, rest = app.resolve_command(context, list(words))
    assert name in ("search", "sensitivity")
    assert found is not None
    options = found.make_context(name, rest, parent=context).params
    if name == "search":
        size = options["target_size"]
        Goal(
            max_drop=None if options["max_drop"] is None else float(options["max_drop"]),
            target_bytes=None if size is None else parse_size(size),
        )


def test_the_page_names_the_defaults_and_the_files() -> None:
    assert len(COMMANDS) >= 4
    help_text = search.search.__doc__
    assert help_text is not None
    for name in ("recipe.yaml", "front.png", "sensitivity.png", "trials.csv", "search.json", "dense.safetensors"):
        assert f"`{name}`" in TEXT
        assert name in help_text
