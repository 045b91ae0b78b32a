"""`compress export` and its options, as a user gives them: what is written, what is said, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx_models import compressed, write

from compress.packed import container
from export import TARGETS
from export.c import sizes

Command = Callable[..., CompletedProcess[str]]
MODEL = compressed()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    container.save(MODEL, tmp_path / "m.dcz")
    for name, target in (("dense", "onnx-dense"), ("coded", "onnx")):
        (tmp_path / f"{name}.onnx").write_bytes(TARGETS[target].dumps(MODEL)[".onnx"])
    lanes = TARGETS["onnx"].dumps(MODEL, max_load_memory=2_300_000)[".onnx"]
    (tmp_path / "lanes.onnx").write_bytes(lanes)
    return tmp_path


def export(command: Command, place: Path, *arguments: str, source: str = "m.dcz") -> CompletedProcess[str]:
    return command("compress", "export", source, *arguments, cwd=place)


@pytest.mark.parametrize(
    ("flags", "target", "options"),
    [
        ((), "onnx", {}),
        (("--max-load-memory", "2300kB"), "onnx", {"max_load_memory": 2_300_000}),
        (
            ("--max-load-memory", "2.3MB", "--no-functions"),
            "onnx",
            {"max_load_memory": 2_300_000, "functions": False},
        ),
        (
            ("--set", "functions=no", "--set", "max-load-memory=2300000"),
            "onnx",
            {"max_load_memory": 2_300_000, "functions": False},
        ),
        (("--weights", "codes", "--unroll=none"), "c", {"weights": "codes", "unroll": "none"}),
        (("--set", "unroll=full"), "c", {"unroll": "full"}),
    ],
)
def test_a_flag_is_the_option_of_the_target(
    command: Command, place: Path, flags: tuple[str, ...], target: str, options: dict[str, object]
) -> None:
    done = export(command, place, "--target", target, "-o", "net", *flags)
    wanted = TARGETS[target].dumps(MODEL, stem="net", **options)
    assert {path.suffix: path.read_bytes() for path in place.glob("net.*")} == wanted
    assert done.stdout.splitlines() == [f"net{suffix}" for suffix in wanted]
    if target == "c":
        found = sizes(wanted)
        said = f"flash {found.flash_bytes:,} B, RAM {found.ram_bytes:,} B" if found else "are not measured"
        assert said in done.stderr


def test_layers_of_fixed_width_are_named_and_nothing_else_is_said(command: Command, place: Path) -> None:
    assert export(command, place, "-t", "onnx", "-o", "a.onnx").stderr == ""
    said = export(command, place, "-t", "onnx", "--max-load-memory", "1kB", "-o", "b.onnx").stderr
    assert said.splitlines() == [f"onnx: {line}" for line in TARGETS["onnx"].write(MODEL, max_load_memory=1000).remarks]
    assert said.startswith("onnx: fixed widths, to spare memory at load: ")
    assert "f6.weight" in said
    assert said.endswith(" even so, allowed 0.0 MiB)\n")


@pytest.mark.parametrize("source", ["dense.onnx", "coded.onnx", "lanes.onnx"])
def test_c_of_an_onnx_file_is_that_of_the_packed_one(command: Command, place: Path, source: str) -> None:
    done = export(command, place, "--target", "c", "-o", "net.c", source=source)
    assert done.stdout.splitlines() == ["net.c", "net.h"]
    wanted = TARGETS["c"].dumps(MODEL, stem="net")
    assert {path.suffix: path.read_bytes() for path in place.glob("net.*")} == wanted


def test_c_of_what_compress_onnx_wrote_gives_its_numbers(command: Command, place: Path) -> None:
    from bench.runtimes import RUNTIMES, LoadOptions

    if (reason := RUNTIMES["c"].available("cpu")) is not None:
        pytest.skip(reason)
    command("compress", "onnx", "dense.onnx", "-o", "small.onnx", "--bits", "4", "--quiet", cwd=place)
    export(command, place, "--target", "c", "-o", "net.c", source="small.onnx")
    images = np.random.default_rng(3).random((4, 1, 32, 32)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(place / "small.onnx"), providers=["CPUExecutionProvider"])
    [wanted] = session.run(None, {"input": images})
    options = LoadOptions(images, 1, "cpu")
    prepare = RUNTIMES["c"].prepare
    assert prepare is not None
    (place / "built").mkdir()
    running = RUNTIMES["c"].load(prepare(place / "net.c", place / "built", options), options)
    running.call()
    assert np.abs(running.read() - wanted).max() <= 1e-5 * np.abs(wanted).max()


C = "not one of target c, allowed weights, unroll"
ONNX = "not one of target onnx, allowed functions, max-load-memory, short-names"
SIZE = "allowed a size such as 8kB, 4KiB or 900"
USAGE = [
    (("m.dcz", "-t", "c", "--no-functions"), f"option functions: {C}"),
    (("m.dcz", "-t", "c", "--max-load-memory", "1MB"), f"option max-load-memory: {C}"),
    (("m.dcz", "-t", "onnx", "--weights", "codes"), f"option weights: {ONNX}"),
    (("m.dcz", "-t", "onnx-dense", "--unroll", "full"), "option unroll: not one of target onnx-dense, allowed none"),
    (("m.dcz", "-t", "c", "--weights", "half"), "weights: found 'half', allowed float, codes"),
    (("m.dcz", "-t", "c", "--unroll", "3"), "unroll: found '3', allowed none, some, full"),
    (("m.dcz", "-t", "onnx", "--max-load-memory", "lots"), f"max-load-memory: found 'lots', {SIZE}"),
    (("m.dcz", "-t", "onnx", "--set", "functions=maybe"), "functions: found 'maybe', allowed yes, no"),
    (("m.dcz", "-t", "onnx", "-o", "net.c"), "out: found suffix '.c', allowed .onnx for target onnx"),
    (("m.dcz", "-t", "onx"), f"target: found 'onx', allowed {', '.join(TARGETS)}, nearest: onnx"),
    (
        ("dense.onnx", "-t", "onnx", "-o", "net.onnx"),
        (
            "dense.onnx: found an ONNX file, allowed a packed one (.dcz) for target onnx; "
            "'compress onnx dense.onnx -o net.onnx' codes the weights of any ONNX file"
        ),
    ),
]  # fmt: skip
FAILURES = [
    (("none.dcz", "-t", "c"), "none.dcz: cannot be read (No such file or directory)"),
    (("none.onnx", "-t", "c"), "none.onnx: cannot be read (No such file or directory)"),
    (("cut.onnx", "-t", "c"), "cut.onnx: found no ONNX model, or a truncated one"),
    (("m.dcz", "-t", "c", "-o", "nowhere/net.c"), "nowhere/net.c: cannot be written (No such file or directory)"),
    (
        ("text.onnx", "-t", "c"),
        "text.onnx: n: found operator Erf, the c target allows ",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), [*USAGE, *FAILURES])
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    command: Command, place: Path, arguments: tuple[str, ...], message: str
) -> None:
    (place / "cut.onnx").write_bytes((place / "dense.onnx").read_bytes()[:3000])
    write(place / "text.onnx", [helper.make_node("Erf", ["x"], ["y"], name="n")], {}, kind=TensorProto.FLOAT)
    before = sorted(place.iterdir())
    out = () if "-o" in arguments else ("-o", "net")
    done = command("compress", "export", *arguments, *out, cwd=place, check=False)
    assert (done.returncode, done.stdout) == (2 if (arguments, message) in USAGE else 1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {message}")
    assert line == f"error: {message}" or message.endswith("allows ")
    assert sorted(place.iterdir()) == before


def test_what_stood_there_stays_when_the_header_cannot_be_written(command: Command, place: Path) -> None:
    (place / "net.c").write_text("old")
    (place / "net.h").mkdir()
    done = command("compress", "export", "m.dcz", "-t", "c", "-o", "net.c", cwd=place, check=False)
    assert (done.returncode, done.stderr) == (1, "error: net.h: cannot be written (Is a directory)\n")
    assert (place / "net.c").read_text() == "old"


def test_help_lists_every_target_option_and_an_example(command: Command, tmp_path: Path) -> None:
    text = " ".join(command("compress", "export", "--help", cwd=tmp_path).stdout.split())
    for name, target in TARGETS.items():
        assert f"{name}: {target.summary}" in text
        for option in target.options:
            assert f"--{option.replace('_', '-')}" in text
    assert "compress export model.dcz --target onnx -o small.onnx" in text


def test_bench_size_weighs_a_coded_file_against_the_weights_that_it_decodes_to(command: Command, place: Path) -> None:
    for name in ("dense.onnx", "coded.onnx", "lanes.onnx"):
        (place / "alone").mkdir(exist_ok=True)
        (place / "alone" / "n.onnx").write_bytes((place / name).read_bytes())
        report = json.loads(command("bench", "size", place / "alone" / "n.onnx", "--json", cwd=place).stdout)
        assert report["dense_bytes"] == 246_824
        assert report["rows"][-1]["bytes"] == (place / name).stat().st_size


def test_compress_onnx_reads_sizes_with_units(command: Command, place: Path) -> None:
    done = command(
        "compress", "onnx", "dense.onnx", "-o", "a.onnx", "--max-load-memory", "2.3MB", "--json", "--quiet", cwd=place
    )
    assert json.loads(done.stdout)["max_load_memory"] == 2_300_000
    for option in ("--max-load-memory", "--target-size"):
        done = command("compress", "onnx", "dense.onnx", "-o", "b.onnx", option, "lots", cwd=place, check=False)
        assert (done.returncode, done.stderr) == (2, f"error: {option[2:]}: found 'lots', {SIZE}\n")
    assert not (place / "b.onnx").exists()


def test_bench_refuses_an_empty_list(command: Command, place: Path) -> None:
    done = command("bench", "latency", "dense.onnx", "--batch-size", "", cwd=place, check=False)
    assert (done.returncode, done.stderr) == (2, "error: batch sizes: found [], allowed 1 and up\n")
