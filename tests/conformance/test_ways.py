"""Every way through the house: what a front end makes is written as all that a model can be, and computes the same.

Whatever a back end cannot express, it refuses by name. A new front end is a line in WAYS; back ends are looked up.
"""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from c_programs import build, execute, write_program
from onnx import TensorProto, helper, numpy_helper
from onnx_models import compressed, normal, onnx_model

from compress.errors import UnsupportedError
from compress.front_ends.module import compress_network
from compress.front_ends.onnx_file import compress_onnx_file
from compress.front_ends.post_training import post_training
from compress.onnx_file.read import OnnxFile
from compress.packed import container
from compress.recipe.recipe import Recipe
from compress.representation import CompressedModel
from compress.rounding.settings import PostTraining
from deep_compress.back_ends import BACK_ENDS
from export import TARGETS

LEVELS = onnxruntime.GraphOptimizationLevel
FEED = np.random.default_rng(8).normal(size=(5, 16)).astype(np.float32)


def trained() -> CompressedModel:
    """A torch module with data."""
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(16, 48), torch.nn.ReLU(), torch.nn.Linear(48, 6))
    inputs = torch.randn(64, 16)
    batches = [(inputs, (inputs[:, 0] > 0).long())]
    recipe = Recipe(sparsity=0.6, bits=3, rounds=1, retrain_epochs=1, tune_epochs=1)
    return compress_network(module, recipe, train=batches).model


def untrained(settings: PostTraining) -> CompressedModel:
    """A torch module that nobody retrains."""
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(16, 48), torch.nn.ReLU(), torch.nn.Linear(48, 6))
    return post_training(module, [torch.from_numpy(FEED)], settings)


def convolutional() -> CompressedModel:
    """What most networks for images are made of: convolutions without bias, batch norm, a depthwise one, a residual."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm = nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
            self.depthwise = nn.Conv2d(16, 16, 5, padding=2, groups=16, bias=False)
            self.pointwise, self.head = nn.Conv2d(16, 16, 1, bias=False), nn.Linear(16, 32)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            stem = torch.relu(self.norm(self.stem(images)))
            mixed: torch.Tensor = self.head((stem + torch.relu(self.pointwise(self.depthwise(stem)))).mean((2, 3)))
            return mixed

    torch.manual_seed(0)
    return post_training(Block().eval(), [torch.randn(2, 1, 12, 12)], PostTraining(bits=5))


def foreign(
    nodes: list[onnx.NodeProto], stored: dict[str, np.ndarray], settings: PostTraining, kind: int = TensorProto.FLOAT
) -> CompressedModel:
    """An ONNX file, without calibration."""
    inputs, outputs = {"x": ["n", 16]}, {"y": ["n", "m"]}
    model = onnx_model(nodes, stored, inputs=inputs, outputs=outputs, kind=kind, opset=21, ir_version=10)
    model.metadata_props.add(key="made", value="by a test")
    onnx.checker.check_model(model, full_check=True)
    nowhere = Path("nowhere")
    return compress_onnx_file(OnnxFile(model), settings, feeds=nowhere, folder=nowhere).model


def perceptron(settings: PostTraining, dtype: Any = np.float32) -> CompressedModel:
    stored = {"first": normal(16, 48), "bias": normal(48), "second": normal(48, 32)}
    nodes = [
        helper.make_node("Gemm", ["x", "first", "bias"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "second"], ["y"]),
    ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return foreign(nodes, {name: array.astype(dtype) for name, array in stored.items()}, settings, kind)


def bfloat16() -> CompressedModel:
    nodes = [
        helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    return foreign(nodes, {"w": normal(16, 64, dtype=ml_dtypes.bfloat16)}, PostTraining(bits=4))


def integers(dtype: Any, width: float) -> CompressedModel:
    """Weights that were quantised by somebody else."""
    info = ml_dtypes.iinfo(dtype)
    middle = (int(info.min) + int(info.max) + 1) // 2
    drawn = np.random.default_rng(1).normal(size=(64, 64)) * width + middle
    quantised = np.clip(np.round(drawn), int(info.min), int(info.max)).astype(dtype)
    nodes = [
        helper.make_node("MatMul", ["x", "in"], ["h"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["f"]),
        helper.make_node("MatMul", ["h", "f"], ["y"]),
    ]
    stored = {
        "in": normal(16, 64), "w": quantised, "scale": np.array(0.1, np.float32), "zero": np.array(middle, dtype),
    }  # fmt: skip
    return foreign(nodes, stored, PostTraining(bits=5))


def branches() -> CompressedModel:
    """Weights in subgraphs and in a Constant node."""

    def branch(name: str) -> onnx.GraphProto:
        end = helper.make_tensor_value_info(f"{name} end", TensorProto.FLOAT, ["n", 32])
        node = helper.make_node("MatMul", ["x", "w"], [f"{name} end"])
        return helper.make_graph([node], name, [], [end], [numpy_helper.from_array(normal(16, 32), "w")])

    nodes = [
        helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(normal(32, 32))),
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["h"], then_branch=branch("then"), else_branch=branch("else")),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    return foreign(nodes, {"zero": np.float32(0)}, PostTraining(bits=5))


WAYS: dict[str, Callable[[], CompressedModel]] = {
    "a network of the zoo": compressed,
    "a module, retrained": trained,
    "a module, not retrained": lambda: untrained(PostTraining(bits=4)),
    "a convolutional module": convolutional,
    "a module, per channel": lambda: untrained(PostTraining(bits=3, granularity="per-channel")),
    "a module, on a grid": lambda: untrained(PostTraining(bits=5, rounding="grid", granularity="per-group:4")),
    "a file": lambda: perceptron(PostTraining(bits=5)),
    "a file, pruned": lambda: perceptron(PostTraining(bits=4, sparsity=0.8)),
    "a file, per channel": lambda: perceptron(PostTraining(bits=3, granularity="per-channel", sparsity=0.3)),
    "a file, on a grid": lambda: perceptron(PostTraining(bits=6, rounding="grid")),
    "a file, a grid per channel": lambda: perceptron(PostTraining(bits=4, rounding="grid", granularity="per-channel")),
    "float16": lambda: perceptron(PostTraining(bits=4), np.float16),
    "float16 on a grid": lambda: perceptron(PostTraining(bits=4, rounding="grid"), np.float16),
    "bfloat16": bfloat16,
    "int8": lambda: integers(np.int8, 6),
    "uint8": lambda: integers(np.uint8, 6),
    "int4": lambda: integers(ml_dtypes.int4, 1.2),
    "uint4": lambda: integers(ml_dtypes.uint4, 1.2),
    "subgraphs": branches,
}

REFUSED = {
    ("float16", "c"): "x: found element type 10, allowed float32",
    ("float16 on a grid", "c"): "x: found element type 10, allowed float32",
    ("subgraphs", "c"): "most: found operator ReduceMax, the c target allows",
}
"""What a back end cannot express, and what its refusal names."""


@cache
def model_of(way: str) -> CompressedModel:
    return WAYS[way]()


@cache
def wanted(way: str) -> np.ndarray:
    """What onnxruntime computes of the dense export."""
    return run(TARGETS["onnx-dense"].dumps(model_of(way))[".onnx"])


def run(content: bytes, level: Any = LEVELS.ORT_ENABLE_ALL) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    [given] = session.get_inputs()
    return np.asarray(session.run(None, {given.name: feed_for(session)})[0])


def feed_for(session: onnxruntime.InferenceSession) -> np.ndarray:
    [given] = session.get_inputs()
    shape = [5, *given.shape[1:]]
    inputs = FEED if shape == [5, 16] else np.random.default_rng(8).normal(size=shape)
    return inputs.astype(np.float16 if given.type == "tensor(float16)" else np.float32)


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("way", WAYS)
def test_every_back_end_takes_every_model_or_refuses_it_by_name(way: str, back_end: str, tmp_path: Path) -> None:
    model, target = model_of(way), BACK_ENDS[back_end]
    if (way, back_end) in REFUSED:
        with pytest.raises(UnsupportedError) as caught:
            target.write(model, stem="net")
        assert REFUSED[way, back_end] in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    files = target.write(model, stem="net").files
    assert tuple(files) == target.suffixes
    assert files == target.write(model, stem="net").files
    if ".onnx" in files:
        onnx.checker.check_model(files[".onnx"], full_check=True)
        assert run(files[".onnx"]).tobytes() == wanted(way).tobytes()
    elif ".dcz" in files:
        again = container.loads(files[".dcz"])
        assert container.dumps(again) == files[".dcz"]
        assert run(TARGETS["onnx"].dumps(again)[".onnx"]).tobytes() == wanted(way).tobytes()
        for name, content in ((name, TARGETS[name].dumps(model)) for name in ("onnx", "onnx-fixed")):
            assert TARGETS[name].dumps(again) == content
    elif ".safetensors" in files:
        import torch
        from safetensors.torch import load  # NumPy's knows no bfloat16

        found = load(files[".safetensors"])
        assert {name: array.reshape(-1).view(torch.uint8).numpy().tobytes() for name, array in found.items()} == {
            name: np.ascontiguousarray(array).tobytes() for name, array in model.weights().items()
        }
    else:
        assert set(files) == {".c", ".h"}
        if shutil.which("gcc") is None:
            pytest.skip("found no gcc")
        sources = write_program(tmp_path, {"net": files}, 5)
        build("gcc", sources, tmp_path / "program", ("-O1",))
        dense = TARGETS["onnx-dense"].dumps(model)[".onnx"]
        session = onnxruntime.InferenceSession(dense, providers=["CPUExecutionProvider"])
        # When it optimises, onnxruntime rounds the activations before weights that are integers.
        expected = run(dense, LEVELS.ORT_DISABLE_ALL).reshape(5, -1)
        [(singly, together)] = execute([str(tmp_path / "program")], [feed_for(session)], [expected.shape[1]])
        for found in (singly, together):
            assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("way", WAYS)
def test_what_is_coded_is_smaller_packed_than_dense(way: str) -> None:
    model = model_of(way)
    assert model.coded
    assert len(container.dumps(model)) < len(TARGETS["onnx-dense"].dumps(model)[".onnx"])


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("a file")])
def test_the_whole_foreign_graph_is_in_the_packed_file(way: str) -> None:
    proto = container.loads(container.dumps(model_of(way))).graph.hollow()
    assert [(item.key, item.value) for item in proto.metadata_props] == [("made", "by a test")]
    assert [(item.domain, item.version) for item in proto.opset_import] == [("", 21)]
    assert proto.ir_version == 10
    assert [axis.dim_param or axis.dim_value for axis in proto.graph.input[0].type.tensor_type.shape.dim] == ["n", 16]
