"""Bytes of packed files, right and wrong, and a bound on the memory that reading them may take."""

import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from onnx_models import hollow_graph

from compress.coding.bits import BitWriter
from compress.coding.blobs import write_blob
from compress.graph import Graph
from compress.packed.container import dumps
from compress.representation import Codebook, CodedTensor, CompressedModel, DenseTensor, Grid

MUCH_MEMORY = 64 << 20


def skeleton(element: str = "float32", **shapes: tuple[int, ...]) -> bytes:
    return hollow_graph((name, shape, element) for name, shape in shapes.items()).skeleton


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


def _small_of_version_2() -> CompressedModel:
    """What version 2 adds, in little room: element types, groups, orders of axes, grids, codebooks of integers."""
    index = np.arange(60)
    places = np.flatnonzero(index * 7 % 5 < 2)
    grid = Grid(np.float32([0.5, 0.25, 2.0]), -3, 7, 3)
    rows = np.array([[-7, -1, 3], [-8, 0, 7]], np.int8)
    tensors: tuple[CodedTensor | DenseTensor, ...] = (
        CodedTensor(
            name="a",
            shape=(3, 4, 5),
            positions=places,
            codes=(places % 7).astype(np.uint8),
            codebook=grid,
            element="bfloat16",
            group_size=20,
            axes=(2, 0, 1),
        ),
        CodedTensor(
            name="b",
            shape=(60,),
            positions=None,
            codes=(index % 3).astype(np.uint8),
            codebook=Codebook(rows, 2),
            element="int4",
            group_size=30,
        ),
        DenseTensor("c", (index % 16).astype(np.uint8), "uint4"),
        DenseTensor("d", (index / 8).astype(np.float16), "float16"),
        CodedTensor.of_mask("e", index < 5, index[:5] % 3, np.float32([-1.0, -0.0, 0.0]), 2),
    )
    graph = hollow_graph((own.name, own.shape, own.element) for own in tensors)
    return CompressedModel(graph, tensors, {"recipe": "seed=0"})


SMALL = dumps(_small())
SMALL_2 = dumps(_small_of_version_2())
FILES = (SMALL, SMALL_2)
"""One file of every version."""


def frame(content: bytes, version: int = 1) -> bytes:
    """A file with a right length and checksum around any body (FORMAT.md, section 1)."""
    rest = 4 + len(content) + 4
    size = next(size for size in range(1, 10) if rest + size < 1 << 7 * size)
    length = rest + size
    groups = [(length >> 7 * place & 127) | (128 if place < size - 1 else 0) for place in range(size)]
    framed = b"DCZ" + bytes([version, *groups]) + content
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


def written(skeleton: bytes, write: Callable[[BitWriter], None], version: int = 1) -> bytes:
    out = BitWriter()
    out.write(0, 1)
    write_blob(out, skeleton)
    write_blob(out, b"")
    write(out)
    return frame(out.to_bytes(), version)


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
