"""Both commands put together: parse, call what they name, turn errors into one line and an exit code."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from bench.errors import BenchError
from compress.errors import CompressError
from deep_compress.commands import measure, packed, run, search, sweep
from deep_compress.commands import onnx as onnx_model

__all__ = ["bench", "compress"]

_INTERRUPTED = 130

_COMPRESS: dict[str, dict[str, Callable[..., None]]] = {
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
}
_BENCH: dict[str, dict[str, Callable[..., None]]] = {
    "Measure": {
        "size": measure.size,
        "latency": measure.latency,
        "layers": measure.layers,
        "energy": measure.energy,
        "report": measure.report,
    },
}


def _app(name: str, text: str, panels: dict[str, dict[str, Callable[..., None]]]) -> typer.Typer:
    app = typer.Typer(
        name=name,
        help=text,
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for panel, commands in panels.items():
        for command, function in commands.items():
            app.command(command, rich_help_panel=panel)(function)
    return app


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
    _main(_app("compress", "Prune, share and Huffman-code a network; write files that are small and run.", _COMPRESS))


def bench() -> NoReturn:
    """Entry point of the command `bench`."""
    _main(_app("bench", "Measure what compression costs and gains: bytes and time.", _BENCH))
