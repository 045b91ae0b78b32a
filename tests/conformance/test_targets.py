"""Every target writes what it promises, the same bytes twice, and refuses options that it does not know."""

from pathlib import Path

import numpy as np
import pytest

from compress.errors import UsageError
from compress.graph import graph_of_zoo
from compress.packed import container
from compress.representation import CodedTensor, CompressedModel, DenseTensor
from deep_compress.jobs import export_file
from export import TARGETS


@pytest.fixture(scope="module")
def model() -> CompressedModel:
    generator = np.random.default_rng(5)
    graph = graph_of_zoo("lenet-5")
    tensors: list[CodedTensor | DenseTensor] = []
    for name, shape in graph.parameters.items():
        if len(shape) < 2:
            tensors.append(DenseTensor(name, generator.normal(size=shape).astype(np.float16).astype(np.float32)))
            continue
        mask = generator.random(shape) < 0.2
        centroids = np.sort(generator.normal(size=16).astype(np.float16)).astype(np.float32)
        codes = generator.integers(0, 16, int(mask.sum()), dtype=np.uint8)
        tensors.append(CodedTensor.of_mask(name, mask, codes, centroids, 5))
    return CompressedModel(graph, tuple(tensors), {"made": "by a test"})


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_writes_its_suffixes_the_same_twice(name: str, model: CompressedModel) -> None:
    target = TARGETS[name]
    files = target.dumps(model, stem="net")
    assert tuple(files) == target.suffixes
    assert all(isinstance(content, bytes) and content for content in files.values())
    assert files == target.dumps(model, stem="net")
    assert target.summary == target.summary.strip() != ""


@pytest.mark.parametrize("name", TARGETS)
def test_an_option_that_a_target_does_not_know_is_refused(name: str, model: CompressedModel, tmp_path: Path) -> None:
    container.save(model, tmp_path / "m.dcz")
    with pytest.raises(UsageError) as caught:
        export_file(tmp_path / "m.dcz", name, tmp_path / "n", {"no_such": "1"})
    known = ", ".join(option.replace("_", "-") for option in TARGETS[name].options) or "none"
    assert str(caught.value) == f"option no-such: not one of target {name}, allowed {known}"


@pytest.mark.parametrize("name", [name for name in TARGETS if name.startswith("onnx")])
def test_every_onnx_target_holds_the_same_network(name: str, model: CompressedModel) -> None:
    import onnxruntime

    inputs = np.random.default_rng(6).normal(size=(3, 1, 32, 32)).astype(np.float32)
    outputs = []
    for content in (TARGETS["onnx-dense"].dumps(model)[".onnx"], TARGETS[name].dumps(model)[".onnx"]):
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        outputs.append(session.run(None, {session.get_inputs()[0].name: inputs})[0])
    assert outputs[0].tobytes() == outputs[1].tobytes()
