"""Commands on a packed file: inspect, unpack, export, eval, verify."""

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.common import DataDir, Json, PackedFile, Quiet, parse_settings, table_console
from compress.recipe import known_name

__all__ = ["evaluate", "export", "inspect", "unpack", "verify"]


def inspect(file: PackedFile, as_json: Json = False) -> None:
    """Show where every byte of a packed file goes, from the file alone."""
    from dataclasses import asdict

    import jobs
    from compress import container
    from compress.report import layer_rows, rows_as_json

    model = jobs.load_file(file)
    account = container.account(jobs.read_file(file))
    if as_json:
        rows = rows_as_json(layer_rows(account))
        print(json.dumps({"account": asdict(account), "layers": rows, "provenance": dict(model.provenance)}, indent=1))
        return
    from compress.report import file_lines, layer_table

    console = table_console()
    console.print(layer_table(layer_rows(account)))
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
    import jobs
    from compress.checkpoint import dump_weights
    from compress.files import write_whole
    from export import TARGETS

    suffix = known_name("out", out.suffix, (".safetensors", ".onnx"))
    model = jobs.load_file(file)
    if suffix == ".onnx":
        write_whole(out, TARGETS["onnx-dense"].dumps(model, stem=out.stem)[".onnx"])
    else:
        write_whole(out, dump_weights(model.weights()))


def export(
    file: PackedFile,
    target: Annotated[
        str, typer.Option("--target", "-t", help="kind of file, see below", metavar="NAME", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="the file to write", metavar="FILE", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="an option of the target, repeatable", metavar="NAME=VALUE")
    ] = None,
) -> None:
    """Write a packed file as a deployable file of another kind."""
    import jobs

    for path in jobs.export_file(file, target, out, parse_settings(settings)):
        print(path)


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a .dcz or an .onnx file", show_default=False)],
    data: Annotated[str, typer.Option(help="data set", metavar="NAME")] = "mnist",
    data_dir: DataDir = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Count the test images that a file gets right in onnxruntime."""
    import jobs
    from console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        accuracy = jobs.evaluate_file(file, data, data_dir, observer)
    if as_json:
        print(json.dumps({"correct": accuracy.correct, "total": accuracy.total, "percent": accuracy.percent}))
    else:
        print(f"{file}: {accuracy.correct} of {accuracy.total} right, {accuracy.percent:.2f} %")


def verify(file: PackedFile) -> None:
    """Check a packed file: every byte, every size, and that it becomes a valid network (exit code 0 or 1)."""
    import jobs

    size = jobs.verify_file(file)
    print(f"{file}: sound, {size:,} bytes")
