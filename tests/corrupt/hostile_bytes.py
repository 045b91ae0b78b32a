"""Bytes of packed files, right and wrong, and a bound on the memory that reading them may take."""

import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from onnx import TensorProto, helper

from compress.coding.bits import BitWriter
from compress.coding.blobs import write_blob
from compress.graph import Graph
from compress.packed.container import dumps
from compress.representation import CodedTensor, CompressedModel, DenseTensor

MUCH_MEMORY = 64 << 20


def skeleton(**shapes: tuple[int, ...]) -> bytes:
    hollow = [TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT) for name, shape in shapes.items()]
    content: bytes = helper.make_model(helper.make_graph([], "g", [], [], hollow)).SerializeToString(deterministic=True)
    return content


def _small() -> CompressedModel:
    """Every part of the format but lanes, in little room: each coder, shared models, both sides of a mask, floats."""
    index = np.arange(240)
    mask = index * 37 % 101 < 30
    skewed = np.minimum(index[: int(mask.sum())] * 29 % 61 // 12, 4)

    def coded(name: str, mask: np.ndarray, codes: np.ndarray, count: int, bits: int) -> CodedTensor:
        return CodedTensor.of_mask(name, mask, codes, np.linspace(-1, 1, count, dtype=np.float32), bits)

    tensors = (
        coded("a", mask.reshape(12, 5, 4), skewed, 5, 3),
        coded("b", ~mask.reshape(60, 4), np.zeros(240 - int(mask.sum())), 1, 5),
        DenseTensor("c", (index[:20] ** 2 / 64).astype(np.float32)),
        coded("d", mask.reshape(60, 4), skewed, 5, 3),
        DenseTensor("e", np.full(9, 0.1, dtype=np.float32)),
    )
    graph = Graph(None, skeleton(**{tensor.name: tensor.shape for tensor in tensors}))
    return CompressedModel(graph, tensors, {"recipe": "seed=0"})


SMALL = dumps(_small())


def frame(content: bytes) -> bytes:
    """A file with a right length and checksum around any body (FORMAT.md, section 1)."""
    rest = 4 + len(content) + 4
    size = next(size for size in range(1, 10) if rest + size < 1 << 7 * size)
    length = rest + size
    groups = [(length >> 7 * place & 127) | (128 if place < size - 1 else 0) for place in range(size)]
    framed = b"DCZ\x01" + bytes(groups) + content
    return framed + zlib.crc32(framed).to_bytes(4, "big")


def body_of(data: bytes) -> bytes:
    return data[6:-4]


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MUCH_MEMORY
    finally:
        tracemalloc.stop()


def written(skeleton: bytes, write: Callable[[BitWriter], None]) -> bytes:
    out = BitWriter()
    out.write(0, 1)
    write_blob(out, skeleton)
    write_blob(out, b"")
    write(out)
    return frame(out.to_bytes())


def coded_header(out: BitWriter, nnz: int, size: int) -> None:
    """A coded tensor of one centroid, 1.0, at one bit."""
    out.write(1, 1)
    out.write(0, 3)
    out.write_golomb(1, 0)
    out.write_bounded(nnz, size)
    out.write(0, 5)
    out.write(0, 1)
    out.write(127, 8)


def constant_model(out: BitWriter, symbol: int, gap_bits: int | None = None) -> None:
    out.write_golomb(0, 0)
    if gap_bits is not None:
        out.write(gap_bits - 1, 3)
    out.write_golomb(2, 0)
    out.write(symbol, 8)
