"""Target `c` against onnxruntime on random graphs: every kernel, both compilers, sanitised, all vector widths."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from c_programs import SANITIZE, build, execute, missing, reference, write_program
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.c import emit

_COUNT = 2
_FLAGS = {
    "native": ("-O1", "-march=native"),
    "baseline": ("-O1",),
    "scalar": ("-O1", "-D{}_SCALAR"),
    "optimised": ("-O3", "-march=native", "-ffp-contract=fast"),
}


class Draft:
    """A graph that grows node by node; every choice comes from hypothesis."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.density = draw(st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.0]))
        self.shared = draw(st.booleans())
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def number(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def weight(self, *shape: int, sparse: bool = True) -> str:
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        values = self.generator.normal(0, 1 / np.sqrt(max(1, fan * self.density)), shape)
        if self.shared:
            values = np.round(values * 4) / 4 + 0.125
        if sparse:
            values = values * (self.generator.random(shape) < self.density)
        return self.constant(values.astype(np.float32))

    def constant(self, values: np.ndarray[Any, Any]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def activation(self, x: str) -> str:
        op = self.pick("", "Relu", "LeakyRelu", "Tanh", "Sigmoid")
        if not op:
            return x
        return self.node(op, [x], **({"alpha": 0.2} if op == "LeakyRelu" else {}))

    def window(self, size: int) -> tuple[int, int, int, int, int, int]:
        """Kernel, stride, dilation, pads, and the size of the result, of one axis."""
        kernel = self.number(1, min(5, size))
        dilation = self.number(1, 2) if (kernel - 1) * 2 + 1 <= size else 1
        begin, end = (self.number(0, (kernel - 1) * dilation // 2) for _ in range(2))
        stride = self.number(1, 3)
        return kernel, stride, dilation, begin, end, (size + begin + end - dilation * (kernel - 1) - 1) // stride + 1

    def convolution(self, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        axes = [self.window(size) for size in shape[1:]]
        groups = self.pick(*(g for g in (1, 2, 3) if shape[0] % g == 0))
        out = groups * self.number(1, 4)
        kernel, strides, dilations = ([axis[i] for axis in axes] for i in range(3))
        inputs = [x, self.weight(out, shape[0] // groups, *kernel)]
        if self.draw(st.booleans()):
            inputs.append(self.weight(out, sparse=False))
        pads = [axis[3] for axis in axes] + [axis[4] for axis in axes]
        x = self.node(
            "Conv", inputs, kernel_shape=kernel, strides=strides, dilations=dilations, pads=pads, group=groups
        )
        return x, (out, *(axis[5] for axis in axes))

    def pool(self, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        op = self.pick("MaxPool", "MaxPool", "AveragePool", "GlobalAveragePool")
        if op == "GlobalAveragePool":
            return self.node(op, [x]), (shape[0], *(1 for _ in shape[1:]))
        if op == "MaxPool" and self.draw(st.booleans()) and min(shape[1:]) >= 2:
            two = [2] * (len(shape) - 1)
            return self.node(op, [x], kernel_shape=two, strides=two), (shape[0], *(size // 2 for size in shape[1:]))
        axes = [self.window(size) for size in shape[1:]]
        kernel, strides = ([axis[i] for axis in axes] for i in range(2))
        attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
        pads = [min(axis[3], axis[0] - 1) for axis in axes] + [min(axis[4], axis[0] - 1) for axis in axes]
        attributes["pads"] = pads
        if op == "MaxPool":
            attributes["dilations"] = [axis[2] for axis in axes]
        else:
            attributes["count_include_pad"] = self.number(0, 1)
        dilations = attributes.get("dilations", [1] * len(axes))
        n = len(axes)
        sizes = [
            (shape[1 + i] + pads[i] + pads[n + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
            for i in range(n)
        ]
        return self.node(op, [x], **attributes), (shape[0], *sizes)

    def normalise(self, x: str, channels: int) -> str:
        scale, bias, mean = (self.weight(channels, sparse=False) for _ in range(3))
        variance = self.constant(self.generator.uniform(0.5, 2, channels).astype(np.float32))
        return self.node("BatchNormalization", [x, scale, bias, mean, variance])

    def stage(self, x: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        kind = self.pick("conv", "conv", "conv", "pool", "norm", "add", "constant", "concat", "transpose", "dense")
        match kind:
            case "conv":
                x, shape = self.convolution(x, shape)
                if self.draw(st.booleans()):
                    x = self.normalise(x, shape[0])
                if self.draw(st.booleans()):
                    x = self.activation(x)
                if self.draw(st.booleans()):
                    x, shape = self.pool(x, shape)
            case "pool":
                x, shape = self.pool(x, shape)
            case "norm":
                x = self.normalise(x, shape[0])
            case "add":
                x = self.node("Add", [x, self.activation(x)])
            case "constant":
                x = self.node("Add", [x, self.weight(*self.pick(shape, (shape[0], *(1 for _ in shape[1:])), (1,)))])
            case "concat":
                axis = self.number(1, len(shape))
                other = self.activation(x)
                x = self.node("Concat", [x, other], axis=self.pick(axis, axis - len(shape) - 1))
                shape = tuple(2 * size if i == axis - 1 else size for i, size in enumerate(shape))
            case "transpose":
                axes = list(self.draw(st.permutations(range(1, len(shape) + 1))))
                x = self.node("Transpose", [x], perm=[0, *axes])
                shape = tuple(shape[axis - 1] for axis in axes)
            case "dense":
                out = self.number(1, 5)
                x = self.node("MatMul", [x, self.weight(shape[-1], out)])
                if self.draw(st.booleans()):
                    x = self.node("Add", [x, self.weight(out, sparse=False)])
                shape = (*shape[:-1], out)
        return self.activation(x), shape

    def linear(self, x: str, size: int) -> tuple[str, int]:
        out = self.number(1, 40)
        transposed = self.number(0, 1)
        weight = self.weight(*((out, size) if transposed else (size, out)))
        bias = self.weight(*self.pick((out,), (1, out)), sparse=False)
        x = self.node("Gemm", [x, weight, bias], transB=transposed, alpha=self.pick(1.0, 0.5), beta=self.pick(1.0, 2.0))
        return self.activation(x), out


@st.composite
def models(draw: Any) -> onnx.ModelProto:
    draft = Draft(draw)
    shape: tuple[int, ...] = (draft.number(1, 4), draft.number(1, 20), draft.number(1, 20))
    if draft.draw(st.booleans()):
        shape = shape[:2]
    x, inputs = "input", shape
    for _ in range(draft.number(0, 3)):
        if len(shape) > 1:
            x, shape = draft.stage(x, shape)
    if draft.draw(st.booleans()):
        if draft.draw(st.booleans()):
            x = draft.node("Flatten", [x])
        else:
            x = draft.node("Reshape", [x, draft.constant(np.array([0, -1], dtype=np.int64))])
        size = int(np.prod(shape))
        for _ in range(draft.number(1, 3)):
            x, size = draft.linear(x, size)
        if draft.draw(st.booleans()):
            x = draft.node("Dropout", [x])
        if draft.draw(st.booleans()):
            x = draft.node("CastLike", [x, draft.constant(np.zeros(1, np.float32))])
            x = draft.node("Cast", [x], to=TensorProto.FLOAT)
        shape = (size,)
    if draft.draw(st.booleans()):
        x = draft.node(draft.pick("Softmax", "LogSoftmax"), [x], axis=draft.number(1, len(shape)))
    draft.nodes.append(helper.make_node("Identity", [x], ["output"], name="last"))
    graph = helper.make_graph(
        draft.nodes,
        "random",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *inputs])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        draft.weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


_PROGRAMS = st.lists(
    st.tuples(models(), st.sampled_from(["float", "codes"]), st.sampled_from(["none", "some", "full"])),
    min_size=8,
    max_size=8,
)


@pytest.mark.parametrize("flags", _FLAGS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_random_graphs_agree_with_onnxruntime(compiler: str, flags: str) -> None:
    reason = missing(compiler, (*SANITIZE, *(flag for flag in _FLAGS[flags] if "{}" not in flag)))
    if reason is not None:
        pytest.skip(reason)

    @settings(
        max_examples=3,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    @given(programs=_PROGRAMS, seed=st.integers(0, 2**32 - 1))
    def check(programs: list[tuple[onnx.ModelProto, str, str]], seed: int) -> None:
        generator = np.random.default_rng(seed)
        files, inputs, expected = {}, [], []
        for i, (model, weights, unroll) in enumerate(programs):
            shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
            x = generator.normal(size=(_COUNT, *shape)).astype(np.float32)
            files[f"m{i}"] = emit(model, stem=f"m{i}", weights=weights, unroll=unroll)
            inputs.append(x)
            expected.append(reference(model, x).reshape(_COUNT, -1))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sources = write_program(folder, files, _COUNT)
            chosen = [f for flag in _FLAGS[flags] for f in _per_model(flag, len(files))]
            build(compiler, sources, folder / "program", (*chosen, *SANITIZE))
            results = execute([str(folder / "program")], inputs, [e.shape[1] for e in expected])
        for i, ((single, batch), wanted) in enumerate(zip(results, expected, strict=True)):
            for found in (single, batch):
                worst = np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max()))
                assert worst <= 1e-5, (i, worst, programs[i][1:], onnx.printer.to_text(programs[i][0])[:3000])

    check()


def _per_model(flag: str, count: int) -> list[str]:
    return [flag.format(f"M{i}") for i in range(count)] if "{}" in flag else [flag]
