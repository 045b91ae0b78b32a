"""Laws of the self-decoding graph: onnxruntime and onnx.reference both get every part back bit for bit."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_models import coded_tensor

from compress.representation import CodedTensor
from export.onnx.decoder.attach import replace
from export.onnx.decoder.builder import Builder
from export.onnx.decoder.fixed import write_fixed
from export.onnx.decoder.huffman import write_huffman
from export.onnx.decoder.phases import Piece, rows_of, unit_of

Writer = Callable[[Builder, Sequence[CodedTensor]], None]


def whole(parts: Sequence[CodedTensor]) -> list[list[Piece]]:
    return [[Piece(part, 0, rows_of(part)) for part in parts]]


def halves(parts: Sequence[CodedTensor]) -> list[list[Piece]]:
    """Two phases for the first halves and the second halves, a third for what cannot be halved."""
    phases: list[list[Piece]] = [[], [], []]
    for part in parts:
        rows = rows_of(part)
        middle = rows // 2 // unit_of(part) * unit_of(part)
        pieces = [Piece(part, 0, middle), Piece(part, middle, rows)] if middle else [Piece(part, 0, rows)]
        decoded = [piece for piece in pieces if piece.cut("piece").codes.size]
        if len(decoded) == 2:
            phases[0].append(pieces[0])
            phases[1].append(pieces[1])
        else:
            phases[2].append(Piece(part, 0, rows))
    return [phase for phase in phases if phase]


def huffman(
    spread: Callable[[Sequence[CodedTensor]], list[list[Piece]]],
    *,
    functions: bool = True,
    spare_memory: int = -(1 << 40),
) -> Writer:
    return lambda builder, parts: write_huffman(builder, spread(parts), functions=functions, spare_memory=spare_memory)


WAYS: dict[str, Writer] = {
    "doubling": huffman(whole, spare_memory=1 << 40),
    "lanes": huffman(whole),
    "lanes in phases": huffman(halves),
    "lanes without functions": huffman(whole, functions=False),
    "fixed": write_fixed,
}


def carrier(parts: Sequence[CodedTensor], opset: int) -> onnx.ModelProto:
    """A model that gives every part out as it is, the parts being initialisers."""
    nodes = [helper.make_node("Identity", [part.name], [f"out {part.name}"]) for part in parts]
    outputs = []
    for part in parts:
        kind = helper.np_dtype_to_tensor_dtype(part.dtype)
        outputs.append(helper.make_tensor_value_info(f"out {part.name}", kind, part.dense().shape))
    dense = [numpy_helper.from_array(np.ascontiguousarray(part.dense()), part.name) for part in parts]
    graph = helper.make_graph(nodes, "carrier", [], outputs, dense)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def coded(parts: Sequence[CodedTensor], way: str, opset: int) -> onnx.ModelProto:
    model = carrier(parts, opset)
    builder = Builder(opset, {name for part in parts for name in (part.name, f"out {part.name}")})
    WAYS[way](builder, parts)
    replace(model, {part.name for part in parts}, builder)
    onnx.checker.check_model(model, full_check=True)
    return model


def run_onnxruntime(model: onnx.ModelProto) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {}))


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    return found.dtype == wanted.dtype and found.shape == wanted.shape and found.tobytes() == wanted.tobytes()


@st.composite
def parts(draw: st.DrawFn, number: int) -> CodedTensor:
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    groups = draw(st.sampled_from([1, shape[0]]))
    width = draw(st.sampled_from([1, 2, 3, 7, 32, 200, 256]))
    dtype = draw(st.sampled_from(["float32", "float32", "float16", "int8", "uint8"]))
    size = int(np.prod(shape))
    if dtype in ("float32", "float16"):
        codebooks = generator.normal(size=(groups, width)).astype(dtype)
        codebooks[generator.random(codebooks.shape) < 0.1] = draw(st.sampled_from([0.0, -0.0]))
    else:
        codebooks = generator.integers(0, 127, size=(groups, width)).astype(dtype)
    positions = None
    if draw(st.booleans()):
        density = draw(st.sampled_from([0.02, 0.3, 1.0]))
        present = generator.random(size) < density
        present[generator.integers(size)] = True
        positions = np.flatnonzero(present)
    count = size if positions is None else positions.size
    skew = draw(st.sampled_from([1.0, 4.0]))
    codes = np.floor(width * generator.random(count) ** skew).astype(np.uint8)
    order = draw(st.one_of(st.none(), st.permutations(range(len(shape))).map(tuple)))
    return coded_tensor(
        name=f"weight {number}",
        shape=shape,
        positions=positions,
        codes=codes,
        codebooks=codebooks,
        order=order,
    )


several = st.integers(1, 4).flatmap(lambda count: st.tuples(*(parts(number) for number in range(count))))


@pytest.mark.parametrize("way", WAYS)
@given(several, st.sampled_from([11, 12, 13, 17, 18, 21]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_both_runtimes_decode_what_was_coded(way: str, chosen: tuple[CodedTensor, ...], opset: int) -> None:
    model = coded(chosen, way, opset)
    for part, found in zip(chosen, run_onnxruntime(model), strict=True):
        assert same(found, part.dense())
    for part, found in zip(chosen, ReferenceEvaluator(model).run(None, {}), strict=True):
        assert same(found, part.dense())


@pytest.mark.parametrize("way", WAYS)
@given(st.integers(0, 2**32), st.integers(2000, 80000), st.sampled_from([0.99, 0.9, 0.5, 0.0]), st.integers(1, 8))
@settings(max_examples=6, deadline=None)
def test_long_streams_decode(way: str, seed: int, size: int, sparsity: float, bits: int) -> None:
    generator = np.random.default_rng(seed)
    positions = np.flatnonzero(generator.random(size) >= sparsity) if sparsity else None
    count = size if positions is None else positions.size
    codes = np.clip(generator.normal(2.0 ** (bits - 1), 2.0 ** (bits - 2), count), 0, 2**bits - 1).astype(np.uint8)
    codebooks = np.sort(generator.normal(size=(1, 2**bits)).astype(np.float32))
    part = coded_tensor(name="w", shape=(size,), positions=positions, codes=codes, codebooks=codebooks)
    [found] = run_onnxruntime(coded([part], way, 17))
    assert same(found, part.dense())


@pytest.mark.parametrize("way", WAYS)
def test_the_same_parts_give_the_same_bytes(way: str) -> None:
    part = coded_tensor(
        name="w",
        shape=(4, 5),
        positions=np.array([1, 7, 8, 19]),
        codes=np.array([0, 1, 2, 1], np.uint8),
        codebooks=np.float32([[-1, 0.1, 2]]),
    )
    assert coded([part], way, 17).SerializeToString() == coded([part], way, 17).SerializeToString()


@pytest.mark.parametrize("way", WAYS)
def test_a_large_part_is_decoded_apart_from_the_others(way: str) -> None:
    generator = np.random.default_rng(3)
    codebooks = generator.normal(size=(1, 16)).astype(np.float32)
    sizes = (1 << 20, 37, (1 << 20) + 5, 64)
    chosen = []
    for number, size in enumerate(sizes):
        positions = None if number % 4 >= 2 else np.flatnonzero(generator.random(size) < 0.05)
        count = size if positions is None else positions.size
        codes = generator.integers(0, 16, count).astype(np.uint8)
        chosen.append(
            coded_tensor(
                name=f"w{number}",
                shape=(size,),
                positions=positions,
                codes=codes,
                codebooks=codebooks,
            )
        )
    for part, found in zip(chosen, run_onnxruntime(coded(chosen, way, 17)), strict=True):
        assert same(found, part.dense())
