"""`compress onnx`: any ONNX file, without training."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.rounding.methods import ROUNDINGS
from compress.sizes import parse_size
from deep_compress.back_ends import BACK_ENDS, back_end_of
from deep_compress.commands.common import Json, Quiet, offered, table_console

if TYPE_CHECKING:
    from compress.rounding.report import OnnxReport

__all__ = ["onnx"]

_SUFFIXES = ", ".join(sorted({back_end.suffixes[0] for back_end in BACK_ENDS.values()}))


def onnx(
    source: Annotated[Path, typer.Argument(metavar="IN", help="an ONNX file", show_default=False)],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help=f"the file to write: {_SUFFIXES}", metavar="OUT", show_default=False),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help=", ".join(BACK_ENDS),
            metavar="NAME",
            show_default="by the suffix of OUT",
            autocompletion=offered(BACK_ENDS),
        ),
    ] = None,
    bits: Annotated[int, typer.Option(help="at most 2**N shared values a tensor, 1 to 8", metavar="N")] = 6,
    rounding: Annotated[
        str,
        typer.Option(
            help="; ".join(f"{key}: {own.summary}" for key, own in ROUNDINGS.items()),
            metavar="NAME",
            autocompletion=offered(ROUNDINGS),
        ),
    ] = "k-means",
    sparsity: Annotated[
        float, typer.Option(help="fraction of every tensor to prune, smallest magnitudes first", metavar="S")
    ] = 0.0,
    keep_zeros: Annotated[bool, typer.Option("--keep-zeros", help="zeros stay exactly zero")] = False,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="round nothing: use only zeros and repeated values")
    ] = False,
    granularity: Annotated[
        str, typer.Option(help="per-tensor, per-channel or per-group:N: what shares a codebook", metavar="NAME")
    ] = "per-tensor",
    max_error: Annotated[
        float | None,
        typer.Option(help="choose bits per tensor: largest output error, of the output's largest value", metavar="E"),
    ] = None,
    target_size: Annotated[
        str | None, typer.Option(help="choose bits per tensor: size of the whole file, such as 16kB", metavar="SIZE")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="inputs (.npz) to measure errors and correct biases on", metavar="FILE")
    ] = None,
    bias_correction: Annotated[
        bool, typer.Option(help="with --calibration: take the mean error of a layer out of its bias")
    ] = True,
    functions: Annotated[bool, typer.Option(help="allow a model-local function in the file")] = True,
    max_load_memory: Annotated[
        str | None,
        typer.Option(help="memory that decoding may take at load (40MB)", metavar="SIZE", show_default="8 × dense"),
    ] = None,
    short_names: Annotated[
        bool,
        typer.Option("--short-names/--keep-names", help="shorten the names of inner values, drop those of nodes"),
    ] = True,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Code the weights of any ONNX file, without training; stock runtimes load what comes out.

    By its suffix, OUT is an ONNX file that decodes itself at load, a packed file (.dcz) that becomes every other kind
    by compress export, C (.c), or dense weights (.safetensors).

    Examples:

    compress onnx model.onnx -o small.onnx --bits 6
    compress onnx model.onnx -o model.dcz
    """
    from compress.rounding.settings import PostTraining
    from deep_compress.console import Reporter
    from deep_compress.jobs import onnx as job

    settings = PostTraining(
        bits=bits,
        rounding=rounding,
        sparsity=sparsity,
        keep_zeros=keep_zeros,
        lossless=lossless,
        granularity=granularity,
        max_error=max_error,
        target_size=None if target_size is None else parse_size(target_size, "target-size"),
        bias_correction=bias_correction,
    )
    options: dict[str, object] = {}
    if not functions:
        options["functions"] = False
    if max_load_memory is not None:
        options["max_load_memory"] = max_load_memory
    if not short_names and "short_names" in BACK_ENDS[back_end_of(out, target)[0]].options:
        options["short_names"] = False
    with Reporter(quiet=quiet) as watching:
        report = job.compress_onnx(
            source, out, settings, target=target, options=options, calibration=calibration, observer=watching
        )
    if as_json:
        print(json.dumps(asdict(report), indent=1))
    elif not quiet:
        _print(report)


def _print(report: "OnnxReport") -> None:
    from rich.table import Table

    console = table_console()
    table = Table(title=f"{report.bytes_before:,} → {report.bytes_after:,} bytes ({report.ratio:.3f})")
    for column in ("tensor", "read by", "shape", "type", "coding", "zeros"):
        table.add_column(column)
    for column in ("bytes before", "after, about", "rms error"):
        table.add_column(column, justify="right")
    for row in report.tensors:
        coding = row.how if row.bits is None else f"{row.how}, {row.bits} bits"
        table.add_row(
            row.label,
            ", ".join(row.operators),
            "×".join(map(str, row.shape)),
            row.element,
            f"{coding} ({row.reason})" if row.reason else coding,
            f"{row.zeros:.1%}" if row.zeros else "",
            f"{row.dense_bytes:,}",
            f"{row.coded_bytes:,}",
            f"{row.rms_error:.2e}" if row.rms_error else "0",
        )
    console.print(table)
    mega = 1 << 20
    error = f"worst {report.worst_error:.2e}, mean {report.mean_error:.2e} of the largest output value"
    memory = f"{report.load_peak_bytes[0] / mega:.1f} → {report.load_peak_bytes[1] / mega:.1f} MiB"
    allowed = f" (allowed for decoding: {report.max_load_memory / mega:.1f})" if report.max_load_memory else ""
    seconds = f"{report.load_s[0] * 1e3:.0f} → {report.load_s[1] * 1e3:.0f} ms"
    small = (
        f"small tensors left: {report.small_tensors}, {report.small_bytes:,} bytes"
        " (fewer than 256 elements, or vectors of fewer than 4,096)"
    )
    lines = [small] if report.small_tensors else []
    lines += [f"output error: {error}, on {report.error_on}", f"load: {seconds}, peak memory {memory}{allowed}"]
    for line in [*lines, *(f"note: {note}" for note in report.notes)]:
        console.print(line, markup=False)
