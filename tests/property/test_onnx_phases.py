"""Laws of decoding in phases: pieces make up their parts, keep the bound where one can, and decode bit for bit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx_models import coded_tensor

from compress.representation import CodedTensor
from export.onnx.decoder.attach import replace as put_in
from export.onnx.decoder.builder import Builder
from export.onnx.decoder.huffman import write_huffman
from export.onnx.decoder.phases import Piece, axis_of, phases_of, rows_of

SHAPES = [(90000,), (1, 400, 170), (37, 30, 9, 7), (2, 45000), (40000, 1), (5, 5)]


@st.composite
def large_parts(draw: st.DrawFn, number: int) -> CodedTensor:
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from(SHAPES))
    size = int(np.prod(shape))
    groups = draw(st.sampled_from([1, 1, shape[0]])) if shape[0] < 100 else 1
    positions = None
    if draw(st.booleans()):
        present = generator.random(size) < draw(st.sampled_from([0.02, 0.4]))
        present[: int(size * draw(st.sampled_from([0.0, 0.9])))] = False
        present[generator.integers(size)] = True
        positions = np.flatnonzero(present)
    codes = np.floor(16 * generator.random(size if positions is None else positions.size) ** 2).astype(np.uint8)
    return coded_tensor(
        name=f"weight {number}",
        shape=shape,
        positions=positions,
        codes=codes,
        codebooks=generator.normal(size=(groups, 16)).astype(np.float32),
        order=tuple(reversed(range(len(shape)))) if draw(st.booleans()) else None,
    )


several = st.integers(1, 4).flatmap(lambda count: st.tuples(*(large_parts(number) for number in range(count))))


def spread(parts: Sequence[CodedTensor], most: int, beside: int = 0) -> list[list[Piece]]:
    memory = [80 * part.codes.size for part in parts]
    phases, _ = phases_of(parts, memory, beside=beside, kept=0, allowed=0, most=most)
    return phases


@given(several, st.integers(1, 6), st.sampled_from([0, 1 << 20, 1 << 30]))
@settings(max_examples=60, deadline=None)
def test_pieces_make_up_their_parts(parts: tuple[CodedTensor, ...], most: int, beside: int) -> None:
    phases = spread(parts, most, beside)
    assert 1 <= len(phases) <= most
    assert all(phases)
    for part in parts:
        pieces = [piece for phase in phases for piece in phase if piece.part is part]
        edges = [0, *(piece.stop for piece in pieces)]
        assert [piece.start for piece in pieces] == edges[:-1]
        assert edges[-1] == rows_of(part)
        cut = [piece.cut("piece") for piece in pieces]
        assert all(piece.codes.size for piece in cut)
        joined = np.concatenate([piece.dense() for piece in cut], axis=axis_of(part))
        stored = replace(part, shape=part.stored_shape, axes=())
        assert joined.tobytes() == stored.dense().tobytes()


@given(several, st.sampled_from([1 << 20, 3 << 20, 10 << 20, 1 << 40]))
@settings(max_examples=40, deadline=None)
def test_as_few_phases_as_keep_the_bound(parts: tuple[CodedTensor, ...], allowed: int) -> None:
    memory = [80 * part.codes.size for part in parts]
    phases, peak = phases_of(parts, memory, beside=0, kept=0, allowed=allowed, most=6)
    if sum(memory) <= allowed:
        assert len(phases) == 1
        assert peak == sum(memory)
    elif peak <= allowed:
        assert phases_of(parts, memory, beside=0, kept=0, allowed=allowed, most=len(phases) - 1)[1] > allowed


@given(several, st.integers(2, 6), st.sampled_from([11, 13, 17, 21]))
@settings(max_examples=8, deadline=None)
def test_what_is_cut_decodes_bit_for_bit(parts: tuple[CodedTensor, ...], most: int, opset: int) -> None:
    for part, found in zip(parts, run(coded(parts, spread(parts, most), opset)), strict=True):
        assert found.tobytes() == np.ascontiguousarray(part.dense()).tobytes()


def test_no_phase_leaves_nodes_behind(tmp_path: Any) -> None:
    generator = np.random.default_rng(0)
    part = coded_tensor(
        name="weight",
        shape=(300, 400),
        positions=None,
        codes=generator.integers(0, 16, 120000).astype(np.uint8),
        codebooks=generator.normal(size=(1, 16)).astype(np.float32),
    )
    model = coded([part], spread([part], 6), 17)
    assert sum(node.op_type == "Scan" for node in model.graph.node) == 5
    run(model, str(tmp_path / "folded.onnx"))
    folded = onnx.load(tmp_path / "folded.onnx").graph
    assert not folded.node
    [tensor] = folded.initializer
    assert onnx.numpy_helper.to_array(tensor).tobytes() == (-part.dense()).tobytes()


def coded(parts: Sequence[CodedTensor], phases: Sequence[Sequence[Piece]], opset: int) -> onnx.ModelProto:
    """A model of one node for every part, whose input the decoder gives, and which is folded with it."""
    nodes = [helper.make_node("Neg", [part.name], [f"out {part.name}"]) for part in parts]
    outputs = [
        helper.make_tensor_value_info(f"out {part.name}", onnx.TensorProto.FLOAT, part.dense().shape) for part in parts
    ]
    graph = helper.make_graph(nodes, "carrier", [], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    builder = Builder(opset, {name for part in parts for name in (part.name, f"out {part.name}")})
    write_huffman(builder, phases, functions=True, spare_memory=-(1 << 40))
    put_in(model, set(), builder)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto, save: str = "") -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = save
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [-found for found in session.run(None, {})]
