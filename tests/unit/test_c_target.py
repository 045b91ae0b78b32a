"""Target `c`: what it refuses and how it says so, the same bytes twice, headers, and corners of single operators."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from c_programs import SANITIZE, build, execute, missing, reference, write_program
from onnx import TensorProto, helper, numpy_helper
from onnx_models import compressed

from compress import container
from compress.errors import UnsupportedError, UsageError
from export import TARGETS
from export.c import blocks, dumps, emit, phases, sizes
from export.c.memory import Request, place
from export.c.packing import lanes, packed
from jobs import export_file

COMPILERS = ("gcc", "clang")


def model(
    *nodes: onnx.NodeProto,
    shape: tuple[Any, ...] = ("batch", 2, 4, 4),
    opset: int = 17,
    **weights: np.ndarray[Any, Any],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, *inputs: str, output: str = "output", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), [output], name="n" if output == "output" else output, **attributes)


def compiled(
    proto: onnx.ModelProto,
    x: np.ndarray[Any, Any],
    folder: Path,
    flags: tuple[str, ...] = (),
    text: str = "",
    **options: str,
) -> np.ndarray[Any, Any]:
    """The result of a generated program, or of `text` in its place, by the first compiler there is."""
    compiler = next((c for c in COMPILERS if shutil.which(c)), None)
    if compiler is None:
        pytest.skip("found no C compiler")
    files = dict(emit(proto, stem="m", **options))
    if text:
        files[".c"] = text.encode()
    sources = write_program(folder, {"m": files}, len(x))
    build(compiler, sources, folder / "program", ("-O1", *flags))
    wanted = reference(proto, x)
    ((single, batch),) = execute([str(folder / "program")], [x], [wanted[0].size])
    assert np.allclose(single, batch, atol=1e-6)
    return single.reshape(wanted.shape)


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
    files = dumps(compressed(0.95), stem="net", **options)
    assert files == dumps(compressed(0.95), stem="net", **options)
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
    header = dumps(compressed(), stem="Net5")[".h"].decode()
    values = dict(re.findall(r"#define NET5_(\w+) (.+)", header))
    assert values["INPUT_SIZE"] == "1024"
    assert values["INPUT_SHAPE"] == "{1, 32, 32}"
    assert values["OUTPUT_SIZE"] == "10"
    assert values["OUTPUT_SHAPE"] == "{10}"
    assert "int Net5_run(const float *input, float *output);" in header
    assert "int Net5_run_batch(const float *input, float *output, int n);" in header


def test_codes_keep_flash_small() -> None:
    def tables(**options: str) -> int:
        found = re.search(r"TABLE_BYTES (\d+)", dumps(compressed(), **options)[".h"].decode())
        assert found is not None
        return int(found[1])

    nonzeros = sum(t.csr.nnz for t in compressed().tensors if hasattr(t, "csr"))
    assert tables(weights="codes") < 2 * nonzeros + 4 * 236 + 2500 < tables(unroll="none")


def test_the_command_writes_both_files(tmp_path: Path) -> None:
    container.save(compressed(), tmp_path / "m.dcz")
    export_file(tmp_path / "m.dcz", "c", tmp_path / "net.c", {"weights": "codes"})
    expected = TARGETS["c"].dumps(compressed(), stem="net", weights="codes")
    assert (tmp_path / "net.c").read_bytes() == expected[".c"]
    assert (tmp_path / "net.h").read_bytes() == expected[".h"]


def test_batch_normalisation_folds_before_and_after_flattening(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    vectors = {f"p{i}": generator.uniform(0.5, 2, 32).astype(np.float32) for i in range(4)}
    proto = model(
        node("Conv", "input", "w", output="a", pads=[1, 1, 1, 1]),
        node("Flatten", "a", output="b"),
        node("BatchNormalization", "b", "p0", "p1", "p2", "p3"),
        w=generator.normal(size=(2, 2, 3, 3)).astype(np.float32),
        **vectors,
    )
    x = generator.normal(size=(3, 2, 4, 4)).astype(np.float32)
    assert np.allclose(compiled(proto, x, tmp_path), reference(proto, x), atol=1e-5)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("include", [0, 1])
def test_a_pool_may_round_up(op: str, include: int, tmp_path: Path) -> None:
    attributes = {"count_include_pad": include} if op == "AveragePool" else {}
    pool = node(op, "input", kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 1, 1], ceil_mode=1, **attributes)
    proto = model(pool, shape=(1, 2, 6, 7), opset=19)
    x = np.random.default_rng(2).normal(size=(2, 2, 6, 7)).astype(np.float32)
    assert np.allclose(compiled(proto, x, tmp_path), reference(proto, x), atol=1e-6)


@pytest.mark.parametrize("keep", [0, 1])
def test_the_mean_over_all_positions_is_a_global_average(keep: int, tmp_path: Path) -> None:
    proto = model(node("ReduceMean", "input", "axes", keepdims=keep), axes=np.array([-1, -2]), opset=18)
    x = np.random.default_rng(10).normal(size=(2, 2, 4, 4)).astype(np.float32)
    assert np.allclose(compiled(proto, x, tmp_path), reference(proto, x), atol=1e-6)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_pads_may_be_left_to_the_operator(auto_pad: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    w = generator.normal(size=(3, 2, 3, 2)).astype(np.float32)
    proto = model(node("Conv", "input", "w", auto_pad=auto_pad, strides=[2, 2]), shape=(1, 2, 7, 6), w=w)
    x = generator.normal(size=(2, 2, 7, 6)).astype(np.float32)
    assert np.allclose(compiled(proto, x, tmp_path), reference(proto, x), atol=1e-5)


def test_shapes_computed_in_the_graph_are_constants_for_one_image(tmp_path: Path) -> None:
    proto = model(
        node("Shape", "input", output="s"),
        node("Gather", "s", "zero", output="count", axis=0),
        node("Concat", "count", "rest", output="target", axis=0),
        node("Reshape", "input", "target", output="f"),
        node("Gemm", "f", "w"),
        zero=np.array([0]),
        rest=np.array([-1]),
        w=np.random.default_rng(4).normal(size=(32, 5)).astype(np.float32),
    )
    x = np.random.default_rng(5).normal(size=(2, 2, 4, 4)).astype(np.float32)
    assert np.allclose(compiled(proto, x, tmp_path), reference(proto, x), atol=1e-5)


@pytest.mark.parametrize("density", [0.2, 0.9])
@pytest.mark.parametrize("pool", [False, True])
def test_convolutions_too_long_to_write_out_are_loops(
    density: float, pool: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_LIMIT", 0)
    generator = np.random.default_rng(9)
    w = (generator.normal(size=(13, 2, 3, 3)) * (generator.random((13, 2, 3, 3)) < density)).astype(np.float32)
    nodes = [node("Conv", "input", "w", output="a" if pool else "output", pads=[1, 1, 1, 1])]
    nodes += [node("MaxPool", "a", kernel_shape=[2, 2], strides=[2, 2])] * pool
    proto = model(*nodes, shape=(1, 2, 11, 12), w=w)
    x = generator.normal(size=(2, 2, 11, 12)).astype(np.float32)
    text = emit(proto)[".c"].decode()
    assert ("block16(x" in text, "row16(x" in text, "NOINLINE void s0" in text) == (density > 0.5, density < 0.5, False)
    assert np.allclose(compiled(proto, x, tmp_path, flags=("-march=native",)), reference(proto, x), atol=1e-5)


def test_a_value_may_be_read_after_it_was_the_output(tmp_path: Path) -> None:
    proto = model(
        node("Relu", "input", output="a"),
        node("Tanh", "a", output="b"),
        node("Add", "a", "b"),
    )
    x = np.random.default_rng(6).normal(size=(2, 2, 4, 4)).astype(np.float32)
    assert np.allclose(compiled(proto, x, tmp_path), reference(proto, x), atol=1e-6)


def test_many_images_go_through_whole_and_partial_tiles(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    w = (generator.normal(size=(20, 32)) * (generator.random((20, 32)) < 0.2)).astype(np.float32)
    proto = model(
        node("Flatten", "input", output="f"), node("Gemm", "f", "w", output="g", transB=1), node("Relu", "g"), w=w
    )
    x = generator.normal(size=(64 + 50 + 3, 2, 4, 4)).astype(np.float32)
    assert np.allclose(compiled(proto, x, tmp_path), reference(proto, x), atol=1e-5)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
def test_packed_codes_and_lanes_hold_the_matrix(density: float) -> None:
    generator = np.random.default_rng(8)
    present = generator.random((37, 300)) < density
    matrix = np.where(present, generator.integers(1, 9, present.shape), 0).astype(np.float32)
    form = packed(matrix)
    assert form is not None
    bits = np.unpackbits(form.stream, bitorder="little").tolist()
    at, rebuilt = 0, np.zeros_like(matrix)

    def take(width: int) -> int:
        nonlocal at
        at += width
        return sum(bit << i for i, bit in enumerate(bits[at - width : at]))

    for row, count in enumerate(form.counts):
        column = 0
        for _ in range(count):
            while (gap := take(form.gap_bits)) == 2**form.gap_bits - 1:
                column += gap
            column += gap
            rebuilt[row, column] = form.book[take(form.code_bits)]
            column += 1
    assert np.array_equal(rebuilt, matrix)

    arranged = lanes(matrix)
    rebuilt = np.zeros((38, 304), dtype=np.float32)
    step = 0
    for block, count in enumerate(arranged.counts):
        for _ in range(count):
            for lane in range(16):
                index = int(arranged.lanes[step, lane])
                column = int(arranged.windows[step, index // 16]) + index % 16
                rebuilt[arranged.order[16 * block + lane], column] += arranged.weights[step, lane]
            step += 1
    assert np.array_equal(rebuilt[:37, :300], matrix)


def test_more_than_256_values_cannot_be_codes() -> None:
    assert packed(np.arange(300, dtype=np.float32).reshape(3, 100)) is None


def test_values_that_live_together_lie_apart() -> None:
    requests = [Request("a", 30, 0, 2), Request("b", 5, 1, 1), Request("c", 20, 2, 4), Request("d", 9, 3, 4)]
    layout = place(requests)
    for one in requests:
        for two in requests:
            if one.name < two.name and one.first <= two.last and two.first <= one.last:
                low, high = sorted((one, two), key=lambda r: layout.offsets[r.name])
                assert layout.offsets[low.name] + low.size <= layout.offsets[high.name]
    assert layout.size <= 64


LENETS = {
    # channels, size, filters, kernel, dilation, groups, density, pool, activation
    "one row a vector": (1, (32, 32), 6, 5, 1, 1, 0.1, True, "Relu"),
    "rows packed": (1, (28, 28), 8, 5, 1, 1, 0.1, True, ""),
    "four rows a vector": (6, (12, 12), 9, 5, 1, 1, 0.1, True, ""),
    "three rows a vector": (6, (14, 14), 7, 5, 1, 1, 0.2, True, "Relu"),
    "grouped, odd size": (4, (11, 9), 6, 3, 1, 2, 0.3, True, "Tanh"),
    "dilated, activated after": (2, (15, 17), 5, 3, 2, 1, 0.3, True, "LeakyRelu"),
    "no pool": (3, (9, 31), 5, 3, 1, 1, 0.3, False, "Sigmoid"),
    "many channels": (22, (12, 12), 6, 3, 1, 1, 0.1, True, "Relu"),
    "empty": (2, (8, 8), 4, 3, 1, 1, 0.0, True, ""),
}


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("case", LENETS)
def test_small_convolutions_and_many_images(
    case: str, wide: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases.Phases, "cycles", lambda *_: -1.0)
    channels, size, filters, kernel, dilation, groups, density, pool, activation = LENETS[case]
    generator = np.random.default_rng(11)
    shape = (filters, channels // groups, kernel, kernel)
    w = (generator.normal(size=shape) * (generator.random(shape) < density)).astype(np.float32)
    w /= np.float32(np.sqrt(1 + np.prod(shape[1:]) * density))
    bias = generator.normal(size=filters).astype(np.float32)
    nodes = [node("Conv", "input", "w", "bias", output="conv", dilations=[dilation] * 2, group=groups)]
    if activation:
        nodes.append(node(activation, "conv", output="active"))
    if pool:
        nodes.append(node("MaxPool", nodes[-1].output[0], output="pool", kernel_shape=[2, 2], strides=[2, 2]))
    reach = [n - (kernel - 1) * dilation for n in size]
    features = filters * int(np.prod([n // 2 if pool else n for n in reach]))
    second = (generator.normal(size=(20, features)) * (generator.random((20, features)) < 0.2)).astype(np.float32)
    nodes += [node("Flatten", nodes[-1].output[0], output="flat"), node("Gemm", "flat", "fc", transB=1)]
    proto = model(*nodes, shape=(1, channels, *size), w=w, bias=bias, fc=second / np.float32(np.sqrt(features)))
    x = generator.normal(size=(64 + 35 + 2, channels, *size)).astype(np.float32)
    text = emit(proto, stem="m")[".c"].decode()
    assert "static float wide[" in text
    assert ("_phases(" in text) == pool
    if missing("gcc", SANITIZE) is not None:
        pytest.skip("found no gcc with sanitizers")
    flags = ("-march=native",)
    if wide:
        # What a processor with 32 short registers compiles, here in 16 of them: the same sums.
        flags = ()
        text = text.replace("#define WIDE 0", "#define WIDE (LANES > 1)")
    found = compiled(proto, x, tmp_path, (*flags, *SANITIZE), text=text)
    assert np.allclose(found, reference(proto, x), atol=1e-5)


def test_the_compiler_tells_flash_and_ram() -> None:
    files = dumps(compressed(), stem="net")
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
    assert told.flash_bytes > sum(t.csr.nnz for t in compressed().tensors if hasattr(t, "csr"))
    with pytest.raises(UnsupportedError) as caught:
        sizes(files, compiler="gcc", flags=("-DNET_TILE=-1",))
    assert str(caught.value).startswith("net.c: gcc -DNET_TILE=-1 refuses it (")
