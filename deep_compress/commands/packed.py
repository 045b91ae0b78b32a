"""Commands on a packed file: inspect, unpack, export, eval, verify."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from compress.datasets import DATASETS
from compress.names import known_name
from deep_compress.commands.common import (
    DataDir,
    Json,
    PackedFile,
    Quiet,
    documented,
    offered,
    parse_settings,
    table_console,
)
from export import TARGETS

__all__ = ["evaluate", "export", "inspect", "unpack", "verify"]

_LARGEST_SIZED = 4 << 20
"""Bytes of a C file that is still compiled to tell its size: it takes seconds."""


def inspect(file: PackedFile, as_json: Json = False) -> None:
    """Show where every byte of a packed file goes, from the file alone."""
    from dataclasses import asdict

    from compress.packed import container
    from compress.report.layers import file_lines, layer_rows, layer_table, rows_as_json
    from deep_compress import jobs

    model = container.load(file)
    account = container.account(jobs.read_file(file))
    if as_json:
        rows = rows_as_json(layer_rows(account))
        print(json.dumps({"account": asdict(account), "layers": rows, "provenance": dict(model.provenance)}, indent=1))
        return
    console = table_console()
    console.print(layer_table(account))
    for line in file_lines(account):
        console.print(line, markup=False)
    for key, value in model.provenance.items():
        console.print(f"{key}: {value}", markup=False)


def unpack(
    file: PackedFile,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="a .safetensors or .onnx file to write", metavar="FILE", show_default=False),
    ],
) -> None:
    """Decode a packed file into dense weights (.safetensors) or a dense network (.onnx)."""
    from deep_compress import jobs

    target = {".safetensors": "safetensors", ".onnx": "onnx-dense"}
    suffix = known_name("out", out.suffix, tuple(target))
    jobs.export_file(file, target[suffix], out, {})


def _target_option(target: str, name: str, *, metavar: str | None = None, default: str) -> Any:
    option = TARGETS[target].options[name]
    choices = f"{', '.join(option.choices)}: " if option.choices else ""
    panel = f"Options of target {target}"
    return typer.Option(help=f"{choices}{option.summary}", metavar=metavar, show_default=default, rich_help_panel=panel)


@documented(targets="\n".join(f"{name}: {target.summary}" for name, target in TARGETS.items()))
def export(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="a packed file (.dcz); for target c also an .onnx file", show_default=False
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--target",
            "-t",
            help=", ".join(TARGETS),
            metavar="NAME",
            show_default=False,
            autocompletion=offered(TARGETS),
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="the file to write", metavar="FILE", show_default=False)],
    functions: Annotated[bool | None, _target_option("onnx", "functions", default="functions")] = None,
    max_load_memory: Annotated[
        str | None, _target_option("onnx", "max_load_memory", metavar="SIZE", default="8 × dense, 16 MiB at least")
    ] = None,
    short_names: Annotated[
        bool | None,
        typer.Option(
            "--short-names/--keep-names",
            help=TARGETS["onnx"].options["short_names"].summary,
            show_default="keep-names",
            rich_help_panel="Options of target onnx",
        ),
    ] = None,
    weights: Annotated[str | None, _target_option("c", "weights", metavar="NAME", default="float")] = None,
    unroll: Annotated[str | None, _target_option("c", "unroll", metavar="NAME", default="some")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="an option of the target, repeatable", metavar="NAME=VALUE")
    ] = None,
) -> None:
    """Write a packed file as a deployable file of another kind.

    Targets:

    {targets}

    Examples:

    compress export model.dcz --target onnx -o small.onnx
    compress export model.dcz --target onnx --no-functions -o plain.onnx
    compress export model.dcz --target c --weights codes -o net.c
    compress export network.onnx --target c -o net.c
    """
    from deep_compress import jobs

    given = {"functions": functions, "max_load_memory": max_load_memory, "short_names": short_names}
    given |= {"weights": weights, "unroll": unroll}
    options = {**parse_settings(settings), **{name: value for name, value in given.items() if value is not None}}
    exported = jobs.export_file(file, target, out, options)
    for path in exported.files:
        print(path)
    for remark in exported.remarks:
        print(f"{target}: {remark}", file=sys.stderr)
    if target == "c":
        print(f"c: {_sizes(exported.files)}", file=sys.stderr)


def _sizes(files: tuple[Path, ...]) -> str:
    """One line on the flash and RAM of the C file that was just written."""
    from export.c import sizes

    contents = {path.suffix: path.read_bytes() for path in files}
    if len(contents[".c"]) > _LARGEST_SIZED:
        return f"flash and RAM are not measured of C files beyond {_LARGEST_SIZED:,} bytes"
    found = sizes(contents)
    if found is None:
        return "flash and RAM are not measured: found no arm-none-eabi-gcc with its size"
    return f"flash {found.flash_bytes:,} B, RAM {found.ram_bytes:,} B (arm-none-eabi-size, {' '.join(found.flags)})"


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a .dcz or an .onnx file", show_default=False)],
    data: Annotated[str, typer.Option(help="data set", metavar="NAME", autocompletion=offered(DATASETS))] = "mnist",
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Count the test images that a file gets right in onnxruntime."""
    from deep_compress import jobs
    from deep_compress.console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        accuracy = jobs.evaluate_file(file, data, data_dir, observer)
    if as_json:
        print(json.dumps({"correct": accuracy.correct, "total": accuracy.total, "percent": accuracy.percent}))
    else:
        print(f"{file}: {accuracy.correct} of {accuracy.total} right, {accuracy.percent:.2f} %")


def verify(file: PackedFile) -> None:
    """Check a packed file: every byte, every size, and that it becomes a valid network (exit code 0 or 1)."""
    from deep_compress import jobs

    size = jobs.verify_file(file)
    print(f"{file}: sound, {size:,} bytes")
