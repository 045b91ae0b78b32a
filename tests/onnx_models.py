"""Networks with random weights, compressed or as ONNX files, for the tests of what writes ONNX."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from compress.elements import ELEMENTS, ordinals
from compress.graph import Graph, graph_of_zoo
from compress.representation import Codebook, CodedTensor, CompressedModel, DenseTensor

__all__ = [
    "GENERATOR",
    "calibration",
    "coded_tensor",
    "compressed",
    "decoded",
    "hollow_graph",
    "normal",
    "onnx_model",
    "perceptron",
    "write",
]

Shapes = Mapping[str, Sequence[int | str | None] | None]


def onnx_model(
    nodes: Sequence[onnx.NodeProto],
    stored: Mapping[str, np.ndarray] | None = None,
    *,
    inputs: Shapes,
    outputs: Shapes,
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
    ir_version: int = 8,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """A model of these nodes: initialisers and the shapes of inputs and outputs by name."""
    ends = (
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in side.items()] for side in (inputs, outputs)
    )
    tensors = [numpy_helper.from_array(array, name) for name, array in (stored or {}).items()]
    versions = {"": opset, **{function.domain: 1 for function in functions}}
    return helper.make_model(
        helper.make_graph(nodes, "main", *ends, tensors),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in versions.items()],
        ir_version=ir_version,
        functions=functions,
    )


def hollow_graph(parameters: Iterable[tuple[str, Sequence[int], str]]) -> Graph:
    """Parameters (name, shape, element type) and nothing that computes."""
    hollow = [TensorProto(name=name, dims=dims, data_type=ELEMENTS[kind].onnx) for name, dims, kind in parameters]
    model = onnx_model([], inputs={}, outputs={})
    model.graph.initializer.extend(hollow)
    return Graph(None, model.SerializeToString(deterministic=True))


def compressed(sparsity: float = 0.9, bits: int = 5, seed: int = 0, graph: Graph | None = None) -> CompressedModel:
    """A network (classical LeNet-5 unless another graph is given) pruned and shared, never trained."""
    generator = np.random.default_rng(seed)
    graph = graph or graph_of_zoo("lenet-5")
    tensors: list[CodedTensor | DenseTensor] = []
    for name, shape in graph.parameters.items():
        weights = generator.normal(size=shape).astype(np.float32)
        if len(shape) < 2:
            tensors.append(DenseTensor(name, weights))
            continue
        present = np.abs(weights) > np.quantile(np.abs(weights), sparsity)
        values = weights[present]
        centroids = np.linspace(values.min(), values.max(), 2**bits).astype(np.float32)
        codes = np.abs(values[:, None] - centroids).argmin(axis=1).astype(np.uint8)
        tensors.append(CodedTensor.of_mask(name, present, codes, centroids, bits))
    return CompressedModel(graph, tuple(tensors))


def coded_tensor(
    name: str,
    shape: tuple[int, ...],
    positions: np.ndarray | None,
    codes: np.ndarray,
    codebooks: np.ndarray,
    order: tuple[int, ...] | None = None,
) -> CodedTensor:
    """A tensor as codes: `shape` is that of its storage, `order` the permutation that gives the tensor."""
    order = order or tuple(range(len(shape)))
    in_rows = np.argsort(ordinals(codebooks), axis=1)
    return CodedTensor(
        name=name,
        shape=tuple(shape[axis] for axis in order),
        positions=positions,
        codes=codes,
        codebook=Codebook(np.take_along_axis(codebooks, in_rows, axis=1), 8),
        element=codebooks.dtype.name,
        group_size=-(-int(np.prod(shape)) // len(codebooks)),
        axes=tuple(int(axis) for axis in np.argsort(order)),
    )


GENERATOR = np.random.default_rng(0)


def normal(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return (GENERATOR.normal(size=shape) / 8).astype(dtype)


def write(path: Path, nodes: list[Any], stored: dict[str, np.ndarray], *, opset: int = 17, **more: Any) -> Path:
    model = onnx_model(
        nodes,
        stored,
        inputs={"x": more.get("shape", ["n", 64])},
        outputs={"y": more.get("out_shape", ["n", "m"])},
        kind=more.get("kind", TensorProto.FLOAT),
        opset=opset,
        ir_version=10,
    )
    model.metadata_props.add(key="made", value="here")
    onnx.save_model(model, str(path))
    return path


def perceptron(path: Path, dtype: Any = np.float32, **more: Any) -> Path:
    nodes = [
        helper.make_node("Gemm", ["x", "first", "bias"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "second"], ["y"]),
    ]
    stored = {
        "first": normal(64, 128, dtype=dtype),
        "bias": normal(128, dtype=dtype),
        "second": normal(128, 64, dtype=dtype),
    }
    stored.update(more.pop("stored", {}))
    return write(path, nodes, stored, **more)


def decoded(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    model = onnx.load_model(str(path))
    for name in names:
        model.graph.output.add(name=name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {
        value.name: np.zeros([d if isinstance(d, int) else 1 for d in value.shape], np.float32)
        for value in session.get_inputs()
    }
    return dict(zip(names, session.run(names, feed), strict=True))


def calibration(path: Path, count: int = 8) -> Path:
    data = np.abs(np.random.default_rng(5).normal(size=(count, 4, 64))).astype(np.float32) + 1
    np.savez(path, x=data)
    return path
