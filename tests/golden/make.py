"""Write the golden files: `python -m tests.golden.make`, by someone who means to change the format, never by a test.

Everything is made by plain arithmetic, so that the models are the same everywhere and for ever.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from onnx import TensorProto, helper

from compress.elements import ELEMENTS
from compress.graph import Graph, graph_of_zoo
from compress.networks import NETWORKS
from compress.packed.container import save
from compress.representation import Codebook, CodedTensor, CompressedModel, DenseTensor, Grid
from compress.spelling import defaults_of, spell

FOLDER = Path(__file__).parent
SKELETONS = FOLDER / "skeletons.json"


def graph_of_shapes(shapes: dict[str, tuple[int, ...]], elements: dict[str, str] | None = None) -> Graph:
    """A graph with these parameters and nothing else; float32 where `elements` says nothing else."""
    hollow = [
        TensorProto(name=name, dims=shape, data_type=ELEMENTS[(elements or {}).get(name, "float32")].onnx)
        for name, shape in shapes.items()
    ]
    model = helper.make_model(
        helper.make_graph([], "g", [], [], hollow), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    return Graph(None, model.SerializeToString(deterministic=True))


def coded(name: str, mask: np.ndarray, codes: np.ndarray, centroids: list[float], bits: int) -> CodedTensor:
    """A coded tensor of the mask's shape."""
    return CodedTensor.of_mask(name, mask, codes, np.array(centroids, dtype=np.float32), bits)


def model_of(tensors: list[CodedTensor | DenseTensor], provenance: dict[str, str]) -> CompressedModel:
    """A model of these tensors and no operators."""
    graph = graph_of_shapes(
        {tensor.name: tensor.shape for tensor in tensors}, {tensor.name: tensor.element for tensor in tensors}
    )
    return CompressedModel(graph, tuple(tensors), provenance)


def _hand() -> CompressedModel:
    """Ten weights, four of them left, small enough to read bit by bit."""
    mask = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 1]], dtype=bool)
    return model_of([coded("w", mask, np.array([0, 2, 2, 1]), [-0.5, 0.25, 1.0], 2)], {})


def _edges() -> CompressedModel:
    """Empty, single, all pruned, dense, constant, one cluster, 256 clusters, scalars, and streams that share models."""
    index = np.arange(1200)
    sparse = ((index * index * 7 + index // 3) % 13 == 0).reshape(30, 4, 10)
    nnz = int(sparse.sum())
    skewed = np.minimum(index[:nnz] * 37 % 101 // 9, 7)
    wild = np.array([0.0, -0.0, 1.0, -3.4028234663852886e38, 1.401298464324817e-45, 0.1], dtype=np.float32)
    long = np.zeros(100_000, dtype=bool)
    long[[0, 255, 70_000, 99_999]] = True
    return model_of(
        [
            coded("empty", np.zeros((0, 3), dtype=bool), np.zeros(0), [], 1),
            coded("one", np.ones((1,), dtype=bool), np.zeros(1), [0.0], 1),
            coded("scalar", np.ones((), dtype=bool), np.ones(1), [-1.5, 2.0], 8),
            coded("all pruned", np.zeros((4, 5), dtype=bool), np.zeros(0), [0.5, 0.5], 3),
            coded("all pruned, no codebook", np.zeros((4, 5), dtype=bool), np.zeros(0), [], 3),
            coded("dense", np.ones((16, 16), dtype=bool), np.arange(256), np.arange(-100, 156).tolist(), 8),
            coded("one cluster", np.ones((6, 6), dtype=bool), np.zeros(36), [0.1], 5),
            coded("sparse", sparse, skewed, (np.arange(8) / 16 - 0.25).tolist(), 3),
            coded("sparse again", sparse, skewed, (np.arange(8) / 8).tolist(), 3),
            coded("mostly left", ~sparse, index[: 1200 - nnz] * 5 % 32, (np.arange(32) - 7.5).tolist(), 5),
            coded("long gaps", long, np.array([1, 0, 1, 1]), [-2.0, 3.0], 1),
            DenseTensor("bias", (np.arange(-20, 20) ** 3 / 4096).astype(np.float32)),
            DenseTensor("another bias", (np.arange(-20, 20) ** 3 / 2048).astype(np.float32)),
            DenseTensor("ones", np.ones((5, 2), dtype=np.float32)),
            DenseTensor("nothing", np.zeros((0,), dtype=np.float32)),
            DenseTensor("wild", wild),
        ],
        {"": "an empty key", "recipe": "sparsity=0.9 bits=5", "name": "Größe ÷ 2", "z": ""},
    )


def _lanes() -> CompressedModel:
    """Streams of 68,358 codes and of as many gaps, each in 67 lanes."""
    index = np.arange(140_000)
    mask = index * 48_271 % 65_537 < 32_000
    drawn = index[: mask.sum()] * 30_011 % 65_537
    codes = (drawn > 50_000).astype(int) + (drawn > 60_000)
    return model_of([coded("w", mask.reshape(400, 350), codes, [-1.0, 0.0, 1.0], 2)], {})


def _zoo() -> CompressedModel:
    """A network that is only named."""
    graph = graph_of_zoo("lenet-5")
    tensors = []
    for name, shape in graph.parameters.items():
        size = int(np.prod(shape))
        if name.endswith(".bias"):
            tensors.append(DenseTensor(name, (np.arange(size) % 7 / 8).astype(np.float32)))
        else:
            index = np.arange(size)
            mask = (index * 40_503 % 65_536 < 1500).reshape(shape)
            tensors.append(coded(name, mask, index[: int(mask.sum())] % 4, [-0.25, -0.125, 0.125, 0.25], 2))
    return CompressedModel(graph, tuple(tensors), {"recipe": "seed=0 sparsity=0.98 bits=2"})


def _constants() -> CompressedModel:
    """Constants among the parameters, however they are stored; of no elements, only an empty field tells one apart."""
    initializers = [
        TensorProto(name="raw", dims=[1], data_type=TensorProto.FLOAT, raw_data=b"\0\0\x80?"),
        TensorProto(name="weight", dims=[2, 3], data_type=TensorProto.FLOAT),
        TensorProto(name="listed", dims=[1], data_type=TensorProto.FLOAT, float_data=[0.5]),
        TensorProto(name="shape", dims=[2], data_type=TensorProto.INT64, int64_data=[-1, 6]),
        TensorProto(name="no constant", dims=[0], data_type=TensorProto.FLOAT),
        TensorProto(name="no parameter", dims=[0], data_type=TensorProto.FLOAT, raw_data=b""),
        TensorProto(name="bias", dims=[3], data_type=TensorProto.FLOAT),
    ]
    nodes = [helper.make_node("Reshape", ["weight", "shape"], ["flat"], "reshape")]
    result = helper.make_tensor_value_info("flat", TensorProto.FLOAT, [1, 6])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [], [result], initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    mask = np.array([[1, 0, 1], [0, 1, 0]], dtype=bool)
    tensors = (
        coded("weight", mask, np.array([0, 1, 1]), [-1.0, 0.5], 1),
        DenseTensor("no constant", np.zeros((0,), dtype=np.float32)),
        DenseTensor("bias", np.array([0.25, -0.5, 3.0], dtype=np.float32)),
    )
    return CompressedModel(Graph(None, model.SerializeToString(deterministic=True)), tensors, {})


def _every_type() -> CompressedModel:
    """Version 2: every element type dense and coded, groups, orders of axes, grids, a negative zero."""
    index = np.arange(240)
    tensors: list[CodedTensor | DenseTensor] = []
    for name, kind in ELEMENTS.items():
        span = kind.high - kind.low + 1 if not kind.floating else 64
        values = (index * index * 5 % span + kind.low).astype(kind.dtype)
        if kind.floating:
            values = ((index * 37 % 64 - 31) / 8).astype(kind.dtype)
        rows = np.sort(values[:24].reshape(3, 8).astype(np.float32), axis=1).astype(kind.dtype)
        kept = np.flatnonzero(index * 11 % 7 < 3)
        tensors += [
            DenseTensor(f"{name} dense", values.reshape(4, 60), name),
            CodedTensor(
                name=f"{name} coded",
                shape=(5, 4, 12),
                positions=kept,
                codes=(kept * 13 % 8).astype(np.uint8),
                codebook=Codebook(rows, 5),
                element=name,
                group_size=96,
                axes=(1, 2, 0),
            ),
            CodedTensor(
                name=f"{name} alone",
                shape=(240,),
                positions=None,
                codes=(index // 7 % 2).astype(np.uint8),
                codebook=Codebook(rows[0, ::7][None], 1),
                element=name,
            ),
        ]
        if kind.floating:
            grid = Grid(np.float32([0.25, 1.5, 0.001, 7.0]), -5, 9, 4)
            codes = (index * 3 % 9).astype(np.uint8)
            tensors.append(
                CodedTensor(
                    name=f"{name} grid",
                    shape=(4, 60),
                    positions=None,
                    codes=codes,
                    codebook=grid,
                    element=name,
                    group_size=60,
                )
            )
    tensors += [
        coded("negative zero", np.ones((3, 3), dtype=bool), index[:9] % 4, [-1.0, -0.0, 0.0, 2.0], 2),
        CodedTensor(
            name="nothing left",
            shape=(2, 6),
            positions=np.zeros(0, np.int32),
            codes=np.zeros(0, np.uint8),
            codebook=Codebook(np.zeros((2, 0), np.float16), 3),
            element="float16",
            group_size=6,
        ),
        DenseTensor("no elements", np.zeros((0, 4), dtype=np.float32)),
    ]
    return model_of(tensors, {"made": "by hand"})


def _named_groups() -> CompressedModel:
    """Version 2 of a network that is only named: a codebook for every output channel."""
    graph = graph_of_zoo("lenet-5(classes=4)")
    tensors: list[CodedTensor | DenseTensor] = []
    for name, shape in graph.parameters.items():
        size = int(np.prod(shape))
        if name.endswith(".bias"):
            tensors.append(DenseTensor(name, (np.arange(size) % 5 / 4).astype(np.float32)))
            continue
        index = np.arange(size)
        kept = np.flatnonzero(index * 40_503 % 65_536 < 1500)
        rows = (np.arange(shape[0])[:, None] + np.float32([-2.0, -1.0, 1.0, 2.0])) / 16
        tensors.append(
            CodedTensor(
                name=name,
                shape=shape,
                positions=kept,
                codes=(np.arange(kept.size) % 4).astype(np.uint8),
                codebook=Codebook(rows.astype(np.float32), 2),
                group_size=size // shape[0],
            )
        )
    return CompressedModel(graph, tuple(tensors), {})


_NUMBERS = {"channels": (2, 3), "classes": (1, 100), "size": (24, 64), "width": (1, 8)}
"""None of them a default, every size a multiple of 8."""

_RATES = (0.000001, 0.25)


def spellings() -> Iterator[str]:
    """Every family with every combination of its words and switches, and of its numbers each one and all at once."""
    for family, function in NETWORKS.items():
        words = {option: _words(function, option) for option in defaults_of(function)}
        choices = {option: values for option, values in words.items() if values}
        numbers = {option: _NUMBERS.get(option, _RATES) for option, values in words.items() if not values}
        for chosen in product(*choices.values()):
            yield spell(family, dict(zip(choices, chosen, strict=True)), NETWORKS)
        for option, values in numbers.items():
            yield from (spell(family, {option: value}, NETWORKS) for value in values)
        last = {option: values[-1] for option, values in (choices | numbers).items()}
        yield spell(family, last, NETWORKS)


def _words(function: Callable[..., Any], option: str) -> tuple[Any, ...]:
    kind = get_type_hints(function)[option]
    return get_args(kind) if get_origin(kind) is Literal else (False, True) if kind is bool else ()


def skeleton_hash(spelling: str) -> str:
    """SHA-256 of the graph that a spelling names."""
    return hashlib.sha256(graph_of_zoo(spelling).skeleton).hexdigest()


MODELS = {
    "hand": _hand,
    "edges": _edges,
    "lanes": _lanes,
    "zoo": _zoo,
    "constants": _constants,
    "every-type": _every_type,
    "named-groups": _named_groups,
}


def main() -> None:
    """Write every file anew."""
    for name, build in MODELS.items():
        save(build(), FOLDER / f"{name}.dcz")
    hashes = {spelling: skeleton_hash(spelling) for spelling in spellings()}
    SKELETONS.write_text(json.dumps(hashes, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
