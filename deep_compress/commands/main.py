"""Both commands put together: parse, call what they name, turn errors into one line and an exit code."""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from bench.errors import BenchError
from compress.errors import CompressError
from deep_compress import __version__
from deep_compress.commands import measure, packed, run, search, sweep
from deep_compress.commands import onnx as onnx_model

__all__ = ["BENCH", "COMPRESS", "bench", "compress"]

_INTERRUPTED = 130
"""As shells have it: 128 and the number of SIGINT."""

_RUNTIMES = ("torch", "onnx", "onnxruntime")
"""Packages whose versions `--version` tells beside ours: a network is made, written and run by them."""


def _versions() -> str:
    """Our version on a line of its own, then the others', read from what is installed and not from what is loaded."""
    found = [f"Python {platform.python_version()}"]
    for package in _RUNTIMES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:  # a build of another name, such as onnxruntime-gpu alone
            found.append(f"no package {package}")
    return f"deep-compress {__version__}\n{', '.join(found)}"


def _show_versions(wanted: bool) -> None:
    if wanted:
        print(_versions())
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the versions and exit.", callback=_show_versions, is_eager=True)
    ] = False,
) -> None:
    """What stands before the name of a command."""


def _app(name: str, text: str, panels: Mapping[str, Mapping[str, Callable[..., None]]]) -> typer.Typer:
    app = typer.Typer(
        name=name,
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback(help=text)(_options)
    for panel, commands in panels.items():
        for command, function in commands.items():
            app.command(command, rich_help_panel=panel)(function)
    return app


COMPRESS = _app(
    "compress",
    "Prune, share and Huffman-code a network; write files that are small and run.",
    {
        "Compress": {
            "run": run.run,
            "onnx": onnx_model.onnx,
            "search": search.search,
            "sensitivity": search.sensitivity,
            "sweep": sweep.sweep,
        },
        "Packed files": {
            "inspect": packed.inspect,
            "unpack": packed.unpack,
            "export": packed.export,
            "eval": packed.evaluate,
            "verify": packed.verify,
        },
    },
)
BENCH = _app(
    "bench",
    "Measure what compression costs and gains: bytes and time.",
    {
        "Measure": {
            "size": measure.size,
            "latency": measure.latency,
            "layers": measure.layers,
            "energy": measure.energy,
            "report": measure.report,
        },
    },
)


def _main(app: typer.Typer) -> NoReturn:
    """Run a command; whatever a user did wrong ends in one line and an exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(standalone_mode=False)
        sys.stdout.flush()
    except (CompressError, BenchError) as error:
        _fail(str(error), error.exit_code)
    except TyperException as error:
        _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", _INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    if code == _INTERRUPTED:  # typer turns Ctrl-C into the code alone
        _fail("interrupted", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    for line in message.splitlines():
        print(f"error: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(code)


def compress() -> NoReturn:
    """Entry point of the command `compress`."""
    _main(COMPRESS)


def bench() -> NoReturn:
    """Entry point of the command `bench`."""
    _main(BENCH)
