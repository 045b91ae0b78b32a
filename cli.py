"""The two commands, `compress` and `bench`: parse, build a configuration, call a job, print; errors to exit codes."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from bench.errors import BenchError
from compress.errors import CompressError, UsageError
from compress.recipe import Recipe, known_name, load_recipe

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["bench", "compress"]

_CONTEXT = {"help_option_names": ["-h", "--help"]}
_FIELDS = Recipe.model_fields

compress_app = typer.Typer(
    name="compress",
    help="Prune, share and Huffman-code a network; write files that are small and run.",
    context_settings=_CONTEXT,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench_app = typer.Typer(
    name="bench",
    help="Measure what compression costs and gains: bytes and time.",
    context_settings=_CONTEXT,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _field(name: str, *flags: str, metavar: str | None = None) -> Any:
    default = Recipe().flat()[name]
    return typer.Option(
        *(flags or (f"--{name.replace('_', '-')}",)),
        help=_FIELDS[name].description,
        metavar=metavar or "VALUE",
        show_default=str(default),
    )


File = Annotated[Path, typer.Argument(metavar="FILE", help="a packed file (.dcz)", show_default=False)]
DataDir = Annotated[
    Path | None, typer.Option(help="directory of the data set's files, in place of the usual one", metavar="DIR")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress and no tables")]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON on standard output")]
Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILES]", help="runs, .dcz, .onnx or .c files", show_default="the newest run"),
]


@compress_app.command("run", rich_help_panel="Compress")
def _run(
    sparsity: Annotated[str | None, _field("sparsity")] = None,
    bits: Annotated[str | None, _field("bits", metavar="N|layer=N,…")] = None,
    network: Annotated[str | None, _field("network", metavar="NAME")] = None,
    data: Annotated[str | None, _field("data", metavar="NAME")] = None,
    data_dir: DataDir = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="trained weights (safetensors) in place of dense training", metavar="FILE")
    ] = None,
    seed: Annotated[str | None, _field("seed")] = None,
    epochs: Annotated[str | None, _field("epochs")] = None,
    criterion: Annotated[str | None, _field("criterion", metavar="NAME")] = None,
    schedule: Annotated[str | None, _field("schedule", metavar="NAME")] = None,
    rounds: Annotated[str | None, _field("rounds")] = None,
    retrain_epochs: Annotated[str | None, _field("retrain_epochs")] = None,
    initialisation: Annotated[str | None, _field("initialisation", metavar="NAME")] = None,
    tune_epochs: Annotated[str | None, _field("tune_epochs")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="any other field of the recipe (see --dry-run), repeatable", metavar="NAME=VALUE"),
    ] = None,
    recipe_file: Annotated[
        Path | None, typer.Option("--recipe", help="YAML file of fields; options win over it", metavar="FILE")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="where the files go", metavar="DIR", show_default="runs/NAME"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda: where it is trained", metavar="NAME")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="replace an earlier run in the same place")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the recipe and stop")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train, prune, share, code, pack, verify and export a network.

    Writes into DIR: model.dcz (the packed file), model.onnx (loads in stock
    runtimes), dense.onnx and dense.safetensors (the network before compression),
    recipe.yaml, report.json, report.png.

    Example: compress run --sparsity 0.9 --bits 5
    """
    values: dict[str, Any] = load_recipe(recipe_file) if recipe_file else {}
    given = {
        "sparsity": sparsity,
        "bits": bits,
        "network": network,
        "data": data,
        "seed": seed,
        "epochs": epochs,
        "criterion": criterion,
        "schedule": schedule,
        "rounds": rounds,
        "retrain_epochs": retrain_epochs,
        "initialisation": initialisation,
        "tune_epochs": tune_epochs,
    }
    values.update({name: value for name, value in given.items() if value is not None})
    values.update(_parse_settings(settings or []))
    recipe = Recipe.of(values)
    if dry_run:
        print(json.dumps(recipe.flat(), indent=1) if as_json else recipe.to_yaml(), end="\n" if as_json else "")
        return
    import jobs
    from console import Reporter

    with Reporter(quiet=quiet) as observer:
        result = jobs.run(
            recipe,
            directory=out,
            data_dir=data_dir,
            checkpoint=checkpoint,
            device=device,
            force=force,
            observer=observer,
        )
    if as_json:
        print(json.dumps(result.report, indent=1))
    elif not quiet:
        _show_run(result.directory, result.report)


@compress_app.command("inspect", rich_help_panel="Packed files")
def _inspect(file: File, as_json: Json = False) -> None:
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

    console = _console()
    console.print(layer_table(layer_rows(account)))
    for line in file_lines(account):
        console.print(line, markup=False)
    for key, value in model.provenance.items():
        console.print(f"{key}: {value}", markup=False)


@compress_app.command("unpack", rich_help_panel="Packed files")
def _unpack(
    file: File,
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


@compress_app.command("export", rich_help_panel="Packed files")
def _export(
    file: File,
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

    for path in jobs.export_file(file, target, out, _parse_settings(settings or [])):
        print(path)


@compress_app.command("eval", rich_help_panel="Packed files")
def _eval(
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


@compress_app.command("verify", rich_help_panel="Packed files")
def _verify(file: File) -> None:
    """Check a packed file: every byte, every size, and that it becomes a valid network (exit code 0 or 1)."""
    import jobs

    size = jobs.verify_file(file)
    print(f"{file}: sound, {size:,} bytes")


@bench_app.command("size", rich_help_panel="Measure")
def _size(files: Files = None, quiet: Quiet = False, as_json: Json = False) -> None:
    """Compare whole files with what the same weights come to in everyday formats."""
    import jobs
    from console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        report = jobs.bench_size(files or [], observer)
    _print_result(report.to_json(), report, "bench.size", "render_size", as_json)


@bench_app.command("latency", rich_help_panel="Measure")
def _latency(
    files: Files = None,
    runtimes: Annotated[str | None, typer.Option(help="names, comma-separated, or all", metavar="NAMES")] = None,
    batch_size: Annotated[str, typer.Option(help="images a call, comma-separated", metavar="N,…")] = "1,64",
    threads: Annotated[str, typer.Option(help="threads of every runtime", metavar="N")] = "1",
    device: Annotated[str, typer.Option(help="cpu or cuda", metavar="NAME")] = "cpu",
    warm_up: Annotated[str, typer.Option(help="calls before the first counted one", metavar="N")] = "50",
    iterations: Annotated[str, typer.Option(help="counted calls", metavar="N")] = "1000",
    rounds: Annotated[str, typer.Option(help="rounds over which all contestants take turns", metavar="N")] = "20",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="JSON file for all raw samples",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Time the dense and the compressed network side by side, samples of all contestants interleaved."""
    import jobs
    from console import Reporter

    with Reporter(quiet=quiet or as_json) as observer:
        report, written = jobs.bench_latency(
            files or [],
            out=out,
            observer=observer,
            runtimes=tuple(runtimes.split(",")) if runtimes else (),
            batch_sizes=tuple(_whole("batch-size", part) for part in batch_size.split(",")),
            threads=_whole("threads", threads),
            device=device,
            warm_up=_whole("warm-up", warm_up),
            iterations=_whole("iterations", iterations),
            rounds=_whole("rounds", rounds),
        )
    _print_result(report.to_json(), report, "bench.render", "render_latency", as_json)
    if not as_json:
        print(f"raw samples: {written}")


def _print_result(values: Mapping[str, Any], report: Any, module: str, renderer: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps(values, indent=1))
        return
    from importlib import import_module

    _console().print(getattr(import_module(module), renderer)(report))


def _show_run(directory: Path, report: Mapping[str, Any]) -> None:
    from compress.report import layer_table, rows_from_json, run_lines

    console = _console()
    console.print(layer_table(rows_from_json(report["layers"])))
    for line in run_lines(report):
        console.print(line, markup=False)
    console.print(f"files in {directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}", markup=False)


def _console() -> "Console":
    """A console for tables; without a terminal they are not cut to 80 columns."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def _parse_settings(settings: list[str]) -> dict[str, str]:
    values = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"set: found {setting!r}, allowed NAME=VALUE")
        values[name.replace("-", "_")] = value
    return values


def _whole(option: str, text: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"{option}: found {text!r}, allowed a whole number")
    return int(text)


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
        _fail("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def compress() -> NoReturn:
    """Entry point of the command `compress`."""
    _main(compress_app)


def bench() -> NoReturn:
    """Entry point of the command `bench`."""
    _main(bench_app)
