"""Target `c`: what it refuses and how it says so, the same bytes twice, headers and sizes."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from c_graphs import COMPILERS, model, node
from c_programs import build
from onnx import TensorProto, helper
from onnx_models import compressed

from compress.errors import UnsupportedError, UsageError
from compress.packed import container
from deep_compress.jobs import export_file
from export import TARGETS
from export.c import emit, sizes

ONES = np.ones((2, 2, 3, 3), np.float32)

REFUSED = {
    "n: found operator Erf, the c target allows Add, AveragePool, BatchNormalization, Cast, CastLike, Concat, Conv, "
    "Dropout, Flatten, Gemm, GlobalAveragePool, Identity, LeakyRelu, LogSoftmax, MatMul, MaxPool, ReduceMean, Relu, "
    "Reshape, Sigmoid, Softmax, Squeeze, Tanh, Transpose, Unsqueeze": model(node("Erf", "input")),
    "n: operator Conv: weight depends on the network's input, allowed a constant": model(
        node("Conv", "input", "input")
    ),
    "n: operator Conv: input of 2 channels, allowed 3": model(
        node("Conv", "input", "w"), w=np.ones((2, 3, 3, 3), np.float32)
    ),
    "n: operator Conv: found an empty result (0, 0), allowed at least one position": model(
        node("Conv", "input", "w"), w=np.ones((2, 2, 5, 5), np.float32)
    ),
    "n: operator Conv: weight holds NaN or infinity, allowed finite values": model(
        node("Conv", "input", "w"), w=ONES * np.float32(np.nan)
    ),
    "n: found auto_pad SAME, allowed NOTSET, VALID, SAME_UPPER, SAME_LOWER": model(
        node("Conv", "input", "w", auto_pad="SAME"), w=ONES
    ),
    "n: operator Softmax: axis 0, allowed 1 to 3: the batch axis stays": model(node("Softmax", "input", axis=0)),
    "n: operator Flatten: axis 2, allowed 1: the batch axis stays": model(node("Flatten", "input", axis=2)),
    "n: operator Transpose: axes [1, 0, 2, 3], allowed an order whose batch axis stays first": model(
        node("Transpose", "input", perm=[1, 0, 2, 3])
    ),
    "output: found a constant output, allowed one that depends on the input": model(node("Relu", "w"), w=ONES),
    "n: operator Reshape: found (1, 2, 4, 4) made into (2, 16), allowed a batch axis of 1 that stays first": model(
        node("Reshape", "input", "w"), w=np.array([2, 16])
    ),
    "n: operator ReduceMean: axes [3], allowed all behind the channels: [2, 3]": model(
        node("ReduceMean", "input", "w"), w=np.array([3]), opset=18
    ),
    "n: operator MatMul: second factor of 3 axes, allowed 2": model(
        node("MatMul", "input", "w"), w=np.ones((2, 4, 4), np.float32)
    ),
    "n: operator MatMul: input 0 is constant, allowed one that depends on the network's input": model(
        node("MatMul", "w", "input"), w=np.ones((4, 4), np.float32)
    ),
    "n: operator Add: constant of shape (3, 2, 4, 4), allowed one without a batch axis": model(
        node("Add", "input", "w"), w=np.ones((3, 2, 4, 4), np.float32)
    ),
    "n: operator Relu: input 0 is 'mask', an output that is not computed": model(
        helper.make_node("Dropout", ["input"], ["kept", "mask"], name="d"), node("Relu", "mask")
    ),
    "n: operator Cast: element type 10, allowed float32": model(node("Cast", "input", to=TensorProto.FLOAT16)),
    "n: operator CastLike: element type float16, allowed float32": model(
        node("CastLike", "input", "w"), w=np.ones(1, np.float16)
    ),
    "input: found shape ['batch', 2, 'height', 4], allowed a batch axis and static positive axes": model(
        node("Relu", "input"), shape=("batch", 2, "height", 4)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_it_cannot_write_is_refused_by_name(message: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        emit(REFUSED[message])
    assert str(caught.value) == message


def test_constants_that_cannot_be_computed_are_refused_in_one_line() -> None:
    nodes = [node("MatMul", "w", "w", output="product"), node("Add", "input", "product")]
    with pytest.raises(UnsupportedError, match=r"^graph: its constants cannot be computed \(.*product.*MatMul.*\)$"):
        emit(model(*nodes, w=np.ones((2, 3), np.float32)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "int8"}, "weights: found 'int8', allowed float, codes"),
        ({"unroll": "all"}, "unroll: found 'all', allowed none, some, full"),
        ({"stem": "1-net"}, "file name: found '1-net', allowed a C name: a letter, then letters, digits, underscores"),
    ],
)
def test_an_option_outside_what_is_allowed_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        emit(model(node("Relu", "input")), **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("weights", ["float", "codes"])
@pytest.mark.parametrize("unroll", ["none", "some", "full"])
def test_the_same_model_gives_the_same_bytes_and_a_portable_file(weights: str, unroll: str, tmp_path: Path) -> None:
    options = {"weights": weights, "unroll": unroll}
    files = TARGETS["c"].dumps(compressed(0.95), stem="net", **options)
    assert files == TARGETS["c"].dumps(compressed(0.95), stem="net", **options)
    assert list(files) == [".c", ".h"]
    text = files[".c"].decode("ascii")
    assert set(re.findall(r"#include (\S+)", text)) == {'"net.h"', "<math.h>", "<stdint.h>", "<string.h>"}
    assert not re.search(r"\b(malloc|calloc|realloc|free|alloca)\b", text)
    for suffix, content in files.items():
        (tmp_path / f"net{suffix}").write_bytes(content)
    flags = ([], ["-march=native"], ["-DNET_SCALAR"], ["-DNET_TILE=0"])
    for compiler in (c for c in COMPILERS if shutil.which(c)):
        for extra in flags if unroll == "some" else flags[:2]:
            build(compiler, [tmp_path / "net.c"], tmp_path / "net.o", ("-O1", "-c", *extra))


def test_the_header_tells_shapes_and_sizes() -> None:
    header = TARGETS["c"].dumps(compressed(), stem="Net5")[".h"].decode()
    values = dict(re.findall(r"#define NET5_(\w+) (.+)", header))
    assert values["INPUT_SIZE"] == "1024"
    assert values["INPUT_SHAPE"] == "{1, 32, 32}"
    assert values["OUTPUT_SIZE"] == "10"
    assert values["OUTPUT_SHAPE"] == "{10}"
    assert "int Net5_run(const float *input, float *output);" in header
    assert "int Net5_run_batch(const float *input, float *output, int n);" in header


def test_codes_keep_flash_small() -> None:
    def tables(**options: str) -> int:
        found = re.search(r"TABLE_BYTES (\d+)", TARGETS["c"].dumps(compressed(), **options)[".h"].decode())
        assert found is not None
        return int(found[1])

    nonzeros = sum(tensor.nnz for tensor in compressed().coded)
    assert tables(weights="codes") < 2 * nonzeros + 4 * 236 + 2500 < tables(unroll="none")


def test_the_command_writes_both_files(tmp_path: Path) -> None:
    container.save(compressed(), tmp_path / "m.dcz")
    export_file(tmp_path / "m.dcz", "c", tmp_path / "net.c", {"weights": "codes"})
    expected = TARGETS["c"].dumps(compressed(), stem="net", weights="codes")
    assert (tmp_path / "net.c").read_bytes() == expected[".c"]
    assert (tmp_path / "net.h").read_bytes() == expected[".h"]


def test_the_compiler_tells_flash_and_ram() -> None:
    files = TARGETS["c"].dumps(compressed(), stem="net")
    told = sizes(files, compiler="gcc", flags=("-O2", "-march=native"))
    if told is None:
        pytest.skip("found no gcc or size")
    assert sizes(files, compiler="no-such-gcc") is None
    expression = re.search(r"WORKSPACE_BYTES (.+)", files[".h"].decode())
    assert expression is not None
    ram = re.fullmatch(r"\((\d+) \+ (\d+) \* NET_TILE \+ \(NET_TILE \? (\d+) : 0\)\)", expression[1])
    assert ram is not None
    least = int(ram[1]) + 64 * int(ram[2])
    assert least <= told.ram_bytes <= least + int(ram[3]) + 256
    assert told.flash_bytes > sum(tensor.nnz for tensor in compressed().coded)
    with pytest.raises(UnsupportedError) as caught:
        sizes(files, compiler="gcc", flags=("-DNET_TILE=-1",))
    assert str(caught.value).startswith("net.c: gcc -DNET_TILE=-1 refuses it (")
