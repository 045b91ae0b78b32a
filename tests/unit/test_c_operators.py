"""Target `c`: corners of single operators, and small networks in every form of a convolution."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from c_graphs import compiled, model, node
from c_programs import SANITIZE, missing, reference
from onnx import TensorProto
from onnx_models import compressed

from export import TARGETS
from export.c import emit
from export.c.graph.reader import read
from export.c.layers import blocks, phases


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


@pytest.mark.parametrize(("part", "found"), [({}, [1, 2, 4, 4]), ({"start": 1, "end": -1}, [2, 4]), ({"end": 1}, [1])])
def test_a_shape_is_that_of_one_image(part: dict[str, int], found: list[int]) -> None:
    proto = model(
        node("Relu", "input", output="a"),
        node("Shape", "a", output="s", **part),
        node("Cast", "s", output="c", to=TensorProto.FLOAT),
        node("ReduceProd", "c", output="p", keepdims=0),
        node("Add", "input", "p"),
    )
    network = read(proto)
    assert [(step.op, step.inputs) for step in network.nodes] == [("Relu", ("input",)), ("Add", ("input", "p"))]
    assert {name: array.tolist() for name, array in network.constants.items()} == {"p": np.prod(found)}


def test_a_network_whose_weights_are_decoded_is_the_one_of_its_dense_weights() -> None:
    network = compressed()
    coded = onnx.load_model_from_string(TARGETS["onnx"].dumps(network)[".onnx"])
    assert emit(coded) == TARGETS["c"].dumps(network)


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
