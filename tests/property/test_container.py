"""Laws of the packed file: models come back bit for bit, equal models give equal bytes, every bit is accounted for."""

from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx_models import hollow_graph

from compress.coding.bits import BitReader, BitWriter
from compress.coding.blobs import MAX_EXPANSION, read_blob, write_blob
from compress.coding.entropy import entropy_bits
from compress.coding.floats import read_centroids, read_floats, write_centroids, write_floats
from compress.coding.streams import StreamModels
from compress.elements import ELEMENTS, Element, ordinals
from compress.errors import CompressError, CorruptFileError, UnsupportedError
from compress.graph import Graph, graph_of_zoo
from compress.packed.container import account, dumps, load, loads, save
from compress.representation import Codebook, CodedTensor, CompressedModel, DenseTensor, Grid

halves = st.floats(width=16, allow_nan=False, allow_infinity=False)
singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
shapes = st.sampled_from(
    [(), (0,), (1,), (7,), (0, 3), (3, 0), (1, 1), (5, 4), (300,), (2, 3, 0, 5), (4, 3, 2, 2), (64, 33), (900, 1)]
)


def model_of(tensors: list, provenance: dict[str, str] | None = None) -> CompressedModel:
    graph = hollow_graph((tensor.name, tensor.shape, tensor.element) for tensor in tensors)
    return CompressedModel(graph, tuple(tensors), provenance or {})


def _coded(draw: st.DrawFn, name: str) -> CodedTensor:
    shape, bits = draw(shapes), draw(st.integers(1, 8))
    size = prod(shape)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 0.51, 0.9, 1.0]))
    mask = generator.random(shape) < density
    nnz = int(np.count_nonzero(mask))
    count = draw(st.sampled_from([1, 2, 2**bits]) | st.integers(1, 2**bits)) if nnz else draw(st.integers(0, 2**bits))
    centroids = draw(arrays(np.float32, count, elements=draw(st.sampled_from([halves, singles]))))
    skew = draw(st.sampled_from([0.3, 1.0, 6.0]))
    codes = (generator.random(nnz) ** skew * count).astype(np.uint8)
    assert size == mask.size
    return CodedTensor.of_mask(name, mask, codes, np.sort(centroids + np.float32(0)), bits)


def _values(draw: st.DrawFn, shape: tuple[int, ...], kind: Element) -> np.ndarray:
    """An array of an element type, exact in its bits."""
    elements = halves if kind.floating else st.integers(kind.low, kind.high)
    found = draw(arrays(np.float32 if kind.floating else kind.dtype, shape, elements=elements))
    with np.errstate(over="ignore"):
        return np.nan_to_num(found.astype(kind.dtype).astype(np.float32)).astype(kind.dtype)


def _any_coded(draw: st.DrawFn, name: str) -> CodedTensor:
    """Whatever a tensor of version 2 may be: its element type, groups, order of axes, a codebook or a grid."""
    kind = ELEMENTS[draw(st.sampled_from(list(ELEMENTS)))]
    shape = draw(shapes.filter(lambda shape: kind.name == "float32" or 0 not in shape))
    bits, size = draw(st.integers(1, 8)), prod(shape)
    group_size = draw(st.sampled_from([max(size, 1), *(n for n in (1, 5, 64) if 200 * n > size)]))
    group_size = min(group_size, max(size, 1))
    groups = max(1, -(-size // group_size))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    positions = np.flatnonzero(generator.random(size) < draw(st.sampled_from([0.0, 0.05, 0.5, 0.9, 1.0])))
    count = draw(st.integers(1, min(2**bits, 9)))
    codebook: Codebook | Grid
    if kind.floating and draw(st.booleans()):
        codebook = Grid(generator.random(groups) / 16 + 2.0**-9, draw(st.integers(-9, 3)), count, bits)
    else:
        rows = _values(draw, (groups, count), kind)
        codebook = Codebook(np.take_along_axis(rows, np.argsort(ordinals(rows), axis=1), axis=1), bits)
    return CodedTensor(
        name=name,
        shape=shape,
        positions=draw(st.sampled_from([positions, None])) if positions.size == size else positions,
        codes=generator.integers(0, count, positions.size),
        codebook=codebook,
        element=kind.name,
        group_size=group_size,
        axes=tuple(generator.permutation(len(shape)).tolist()),
    )


def _any_dense(draw: st.DrawFn, name: str) -> DenseTensor:
    kind = ELEMENTS[draw(st.sampled_from(list(ELEMENTS)))]
    shape = draw(shapes.filter(lambda shape: kind.name == "float32" or 0 not in shape))
    return DenseTensor(name, _values(draw, shape, kind), kind.name)


def _dense(draw: st.DrawFn, name: str) -> DenseTensor:
    shape = draw(shapes)
    elements = draw(st.sampled_from([halves, singles, st.just(0.0), st.sampled_from([0.0, -0.0, 1.0])]))
    return DenseTensor(name, draw(arrays(np.float32, shape, elements=elements)))


def _models(draw: st.DrawFn) -> CompressedModel:
    kinds = draw(st.lists(st.sampled_from(draw(st.sampled_from(VERSIONS))), max_size=5))
    tensors = [kind(draw, f"tensor.{index}") for index, kind in enumerate(kinds)]
    provenance = draw(st.dictionaries(st.text(max_size=8), st.text(max_size=60), max_size=3))
    return model_of(tensors, provenance)


VERSIONS = ((_coded, _dense), (_any_coded, _any_dense, _coded, _dense))
models = st.composite(_models)()


def assert_equal(found: CompressedModel, expected: CompressedModel) -> None:
    assert found.graph == expected.graph
    assert found.provenance == expected.provenance
    for ours, theirs in zip(found.tensors, expected.tensors, strict=True):
        assert (type(ours), ours.name, ours.shape, ours.element) == (
            type(theirs),
            theirs.name,
            theirs.shape,
            theirs.element,
        )
        assert ours.dense().tobytes() == theirs.dense().tobytes()
        if isinstance(ours, CodedTensor) and isinstance(theirs, CodedTensor):
            assert (ours.axes, ours.group_size, ours.bits) == (theirs.axes, theirs.group_size, theirs.bits)
            assert type(ours.codebook) is type(theirs.codebook)
            for one, other in ((ours.places(), theirs.places()), (ours.codes, theirs.codes)):
                assert one.tobytes() == other.tobytes()
            assert ours.values().tobytes() == theirs.values().tobytes()


@given(models)
@settings(max_examples=300, deadline=None)
def test_every_model_comes_back_and_gives_the_same_bytes_again(model: CompressedModel) -> None:
    data = dumps(model)
    found = loads(data)
    assert_equal(found, model)
    assert dumps(found) == data


@given(models)
@settings(max_examples=150, deadline=None)
def test_every_bit_is_accounted_for(model: CompressedModel) -> None:
    data = dumps(model)
    found = account(data)
    assert found.file_bytes == len(data)
    frame = found.frame_bits + found.checksum_bits + found.graph_bits + found.provenance_bits + found.padding_bits
    assert frame + sum(tensor.total_bits for tensor in found.tensors) == 8 * len(data)
    assert sum(found.parts().values()) == len(data)
    for told, tensor in zip(found.tensors, model.tensors, strict=True):
        assert (told.name, told.shape, told.size) == (tensor.name, tensor.shape, tensor.size)
        assert sum(told.parts().values()) == told.total_bytes
        if isinstance(tensor, CodedTensor):
            assert (told.kind, told.nnz, told.bits) == ("coded", tensor.nnz, tensor.bits)
            if told.codes is not None:
                assert told.codes.count == told.nnz
                assert told.code_entropy_bits == entropy_bits(np.bincount(tensor.codes))
                assert told.code_entropy_bits <= told.codes.payload_bits + 1e-6
                assert told.weight_bits_coded * told.nnz == pytest.approx(told.codes.payload_bits)
            if told.gaps is not None:
                assert told.gaps.count >= min(told.nnz, told.size - told.nnz)
                assert told.gap_entropy_bits <= told.gaps.payload_bits + 1e-6
                assert told.index_bits * told.nnz == pytest.approx(told.gaps.count * told.gap_bits)
                assert told.index_bits_coded * told.nnz == pytest.approx(told.gaps.payload_bits)
        else:
            assert (told.kind, told.nnz, told.bits) == ("dense", tensor.size, None)


def _lenet(sparsity: float, bits: int) -> CompressedModel:
    """LeNet-5 with weights as training leaves them: Gaussian, by layer, pruned globally by magnitude."""
    generator = np.random.default_rng(0)
    graph = graph_of_zoo("lenet-5")
    weights = {
        name: generator.normal(0, prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.05, shape).astype(np.float32)
        for name, shape in graph.parameters.items()
    }
    magnitudes = np.concatenate([abs(w).ravel() for w in weights.values() if w.ndim > 1])
    threshold = np.quantile(magnitudes, sparsity)
    tensors: list[CodedTensor | DenseTensor] = []
    for name, array in weights.items():
        if array.ndim == 1:
            tensors.append(DenseTensor(name, array.astype(np.float16).astype(np.float32)))
            continue
        mask = abs(array) > threshold
        low, high = array[mask].min(), array[mask].max()
        codes = np.round((array[mask] - low) / (high - low) * (2**bits - 1))
        centroids = np.linspace(low, high, 2**bits).astype(np.float16).astype(np.float32)
        tensors.append(CodedTensor.of_mask(name, mask, codes, centroids, bits))
    return CompressedModel(graph, tuple(tensors), {"recipe": "seed=0 sparsity=0.9 bits=5"})


def test_coding_spends_little_more_than_the_entropy() -> None:
    found = account(dumps(_lenet(0.9, 5)))
    assert found.coding_bits / 8 <= 1.05 * found.entropy_bits / 8 + 150
    beside = found.file_bytes - found.coding_bits / 8
    assert beside <= 700


def test_constant_streams_take_no_payload() -> None:
    mask = np.ones((100, 100), dtype=bool)
    tensor = CodedTensor.of_mask("w", mask, np.zeros(10_000), np.ones(1), 5)
    found = account(dumps(model_of([tensor, DenseTensor("b", np.full((1000,), 0.1, dtype=np.float32))])))
    assert found.tensors[0].codes is not None
    assert (found.tensors[0].codes.coder, found.tensors[0].codes.payload_bits) == ("constant", 0)
    assert found.tensors[0].gaps is None
    assert found.tensors[0].total_bytes < 10
    assert found.tensors[1].total_bytes < 10


@pytest.mark.parametrize(
    "tensor",
    [
        DenseTensor("b", np.full((1 << 22,), 0.1, dtype=np.float32)),
        CodedTensor.of_mask("w", np.zeros((1 << 21, 1), dtype=bool), np.zeros(0), np.zeros(0), 1),
        CodedTensor.of_mask("w", np.ones((1, 1 << 21), dtype=bool), np.zeros(1 << 21), np.ones(1), 1),
    ],
    ids=["constant", "all pruned", "one cluster"],
)
def test_what_takes_next_to_nothing_is_padded_to_a_size_that_may_hold_it(
    tensor: CodedTensor | DenseTensor,
) -> None:
    data = dumps(model_of([tensor]))
    assert len(data) >= (tensor.size - (1 << 20)) / 16
    assert_equal(loads(data), model_of([tensor]))
    assert account(data).padding_bits >= 8 * (len(data) - 200)


def test_a_zoo_network_is_named_in_a_few_bytes() -> None:
    found = account(dumps(_lenet(0.99, 2)))
    assert found.graph_bits <= 64
    assert loads(dumps(_lenet(0.99, 2))).graph.zoo == "lenet-5"


def test_a_graph_that_is_not_the_one_it_is_named_after_is_refused() -> None:
    other = model_of([DenseTensor("b", np.zeros(3, dtype=np.float32))])
    named = CompressedModel(Graph("lenet-5", other.graph.skeleton), other.tensors, {})
    with pytest.raises(
        UnsupportedError, match=r"^graph: found one named lenet-5 that is not the network of that name$"
    ):
        dumps(named)


def test_provenance_is_text() -> None:
    model = model_of([], {"key": "\ud800"})
    with pytest.raises(UnsupportedError, match=r"^provenance: found a lone surrogate, allowed text$"):
        dumps(model)


def test_save_and_load(tmp_path: Path) -> None:
    model, path = _lenet(0.9, 3), tmp_path / "model.dcz"
    save(model, path)
    assert path.read_bytes() == dumps(model)
    assert_equal(load(path), model)
    assert [file.name for file in tmp_path.iterdir()] == ["model.dcz"]


def test_files_that_cannot_be_written_or_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(CompressError, match=r"/missing/model\.dcz: cannot be written \(No such file or directory\)$"):
        save(model_of([]), tmp_path / "missing" / "model.dcz")
    with pytest.raises(CompressError, match=r"/missing\.dcz: cannot be read \(No such file or directory\)$"):
        load(tmp_path / "missing.dcz")
    broken = tmp_path / "broken.dcz"
    broken.write_bytes(b"GIF89a")
    with pytest.raises(CorruptFileError, match=r"/broken\.dcz: file: found 474946 at its start, allowed 44435a$"):
        load(broken)


@given(arrays(np.float32, st.integers(0, 300), elements=st.one_of(halves, singles)), st.integers(0, 9))
def test_floats_come_back_bit_for_bit(array: np.ndarray, before: int) -> None:
    out = BitWriter()
    out.write(0, before)
    write_floats(out, array, StreamModels())
    reader = BitReader(out.to_bytes())
    reader.skip(before, "before")
    assert read_floats(reader, array.size, StreamModels(), "array").tobytes() == array.tobytes()
    assert reader.position == out.bit_count


@pytest.mark.parametrize(("step", "bits"), [(2.0**-24, 24), (2.0**-10, 11), (2.0**-7, 8)])
def test_floats_take_only_the_mantissa_bits_they_use(step: float, bits: int) -> None:
    array = np.arange(1 + step, 2, 7 * step if bits < 20 else 9999 * step, dtype=np.float64).astype(np.float32)
    out = BitWriter()
    write_floats(out, array, StreamModels())
    # All exponents are the same, and take no bits.
    assert out.bit_count <= 40 + bits * array.size


@given(arrays(np.float32, st.integers(1, 256), elements=st.one_of(halves, singles)))
def test_centroids_come_back_bit_for_bit(array: np.ndarray) -> None:
    for signed_zero, values in ((False, array + np.float32(0)), (True, array)):
        centroids = values[np.argsort(ordinals(values))]
        out = BitWriter()
        write_centroids(out, centroids, signed_zero=signed_zero)
        reader = BitReader(out.to_bytes())
        found = read_centroids(reader, centroids.size, "codebook", signed_zero=signed_zero)
        assert found.tobytes() == centroids.tobytes()
        assert reader.position == out.bit_count


def test_a_negative_zero_among_centroids_takes_version_2() -> None:
    for zero, version in ((0.0, 1), (-0.0, 2)):
        centroids = np.array([-1.0, zero, 1.0], dtype=np.float32)
        model = model_of([CodedTensor.of_mask("w", np.ones((3,), np.bool_), np.arange(3), centroids, 2)])
        data = dumps(model)
        assert data[3] == version
        assert loads(data).tensors[0].dense().tobytes() == centroids.tobytes()


@pytest.mark.parametrize(
    ("content", "method"),
    [
        (lambda: b"", 0),
        (lambda: bytes(range(40)), 0),
        (lambda: b"recipe\xffseed=0 sparsity=0.9 bits=5\xff", 1),
        (lambda: b"".join(b"layer%d.weight conv%d" % (index, index * 7 % 50) for index in range(2000)), 2),
        (lambda: bytes(MAX_EXPANSION * 1000), None),
        (lambda: np.random.default_rng(0).bytes((1 << 24) + 1), 0),
    ],
)
def test_byte_strings_come_back_by_the_shortest_method(content: Callable[[], bytes], method: int | None) -> None:
    string, out = content(), BitWriter()
    out.write(1, 1)
    write_blob(out, string)
    reader = BitReader(out.to_bytes())
    reader.skip(1, "before")
    if method is not None:
        assert reader.read_golomb(0, "method") == method
        reader = BitReader(out.to_bytes())
        reader.skip(1, "before")
    assert read_blob(reader, "string") == string
    assert reader.position == out.bit_count
    assert out.bit_count <= 8 * len(string) + 64
