"""What the commands share: options that recur, how values are read and results printed."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec, TypeVar

import typer

from compress.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "BatchSizes",
    "DataDir",
    "Files",
    "Json",
    "PackedFile",
    "Quiet",
    "RawResults",
    "Runtimes",
    "Threads",
    "TimedDevice",
    "comma_separated",
    "documented",
    "offered",
    "parse_settings",
    "table_console",
    "whole_number",
]

P = ParamSpec("P")
R = TypeVar("R")

PackedFile = Annotated[Path, typer.Argument(metavar="FILE", help="a packed file (.dcz)", show_default=False)]
DataDir = Annotated[
    Path | None, typer.Option(help="directory of the data set's files, in place of the usual one", metavar="DIR")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress and no tables")]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON on standard output")]
Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILES]", help="runs, .dcz, .onnx or .c files", show_default="the newest run"),
]
Runtimes = Annotated[
    str | None,
    typer.Option(help="names, comma-separated, or all", metavar="NAMES", show_default="torch, onnxruntime, c"),
]
BatchSizes = Annotated[str, typer.Option(help="images a call, comma-separated", metavar="N,…")]
Threads = Annotated[str, typer.Option(help="threads of every runtime", metavar="N")]
TimedDevice = Annotated[str, typer.Option(help="cpu or cuda; never one in place of the other", metavar="NAME")]
RawResults = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="JSON file for all raw samples", metavar="FILE", show_default="beside the first file"
    ),
]


def documented(**parts: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Fill the places of a docstring, so that `--help` tells what a registry holds."""

    def fill(function: Callable[P, R]) -> Callable[P, R]:
        function.__doc__ = inspect.cleandoc(function.__doc__ or "").format(**parts)
        return function

    return fill


def offered(names: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell offers as an option's value: those of the names that begin as the user has begun.

    >>> offered(["lenet-5", "lenet-300-100", "vgg-lite"])("le")
    ['lenet-5', 'lenet-300-100']
    """

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def table_console() -> "Console":
    """A console for tables; without a terminal they are not cut to 80 columns."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def parse_settings(settings: list[str] | None) -> dict[str, str]:
    """Read NAME=VALUE pairs; a dash in a name is an underscore.

    >>> parse_settings(["retrain-epochs=3"])
    {'retrain_epochs': '3'}
    """
    values = {}
    for setting in settings or []:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"set: found {setting!r}, allowed NAME=VALUE")
        values[name.replace("-", "_")] = value
    return values


def comma_separated(text: str) -> tuple[str, ...]:
    """The parts of a list, without the spaces around them.

    >>> comma_separated("onnx, c")
    ('onnx', 'c')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole_number(option: str, text: str) -> int:
    """Read a whole number that is not negative."""
    if not text.isdecimal():
        raise UsageError(f"{option}: found {text!r}, allowed a whole number")
    return int(text)
