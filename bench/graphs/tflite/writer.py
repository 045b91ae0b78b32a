"""A .tflite file while it is written: tensors, buffers and operators of the schema that LiteRT itself ships."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.graphs.read import PlainGraph

__all__ = ["TO_NHWC", "Writer"]

TO_NHWC = (0, 2, 3, 1)
"""The axes of an ONNX value of four axes in TFLite's order."""

_ALIGNMENT = 16
"""Bytes on which a buffer begins: what the kernels of TFLite read with one instruction."""

_IDENTIFIER = b"TFL3"
"""Of a file of TFLite's schema, version 3: the one that LiteRT loads."""


class Writer:
    """The file while it is built; a value is the index of its tensor, by ONNX name."""

    def __init__(self, graph: PlainGraph, shapes: Mapping[str, tuple[int, ...]]) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.graph, self.shapes = graph, shapes
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.codes: dict[int, int] = {}
        self.operators: list[Any] = []
        self.values: dict[str, int] = {}

    def tensor(self, shape: Sequence[int], data: NDArray[Any] | None = None) -> int:
        """A new tensor, float32 unless `data` is int32."""
        tensor = self.schema.TensorT()
        tensor.shape = [int(size) for size in shape]
        integer = data is not None and data.dtype == np.int32
        tensor.type = self.schema.TensorType.INT32 if integer else self.schema.TensorType.FLOAT32
        tensor.name = f"t{len(self.tensors)}"
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype=np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, array: NDArray[Any]) -> int:
        """A tensor with content."""
        return self.tensor(array.shape, array)

    def output(self, name: str) -> int:
        """The tensor of an ONNX value that an operator is about to make."""
        shape = self.shapes[name]
        self.values[name] = self.tensor([shape[axis] for axis in TO_NHWC] if len(shape) == 4 else shape)
        return self.values[name]

    def input(self, name: str) -> int:
        """The tensor of an ONNX value; a constant is laid out as its consumer's other values are."""
        if name not in self.values:
            array = np.asarray(self.graph.constants[name], dtype=np.float32)
            self.values[name] = self.constant(array.transpose(TO_NHWC) if array.ndim == 4 else array)
        return self.values[name]

    def add(self, kind: str, inputs: Sequence[int], output: int, options: str | None = None, **fields: Any) -> None:
        """Append an operator; `options` names its table in the schema."""
        code = getattr(self.schema.BuiltinOperator, kind)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(code, len(self.codes))
        operator.inputs, operator.outputs = list(inputs), [output]
        if options:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, f"{options}T")()
            for field, value in fields.items():
                if not hasattr(operator.builtinOptions, field):
                    raise AttributeError(f"{options} has no field {field}")
                setattr(operator.builtinOptions, field, value)
        self.operators.append(operator)

    def dumps(self) -> bytes:
        """The whole file."""
        import flatbuffers

        schema = self.schema
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.name = self.tensors, self.operators, "main"
        graph.inputs, graph.outputs = [self.values[self.graph.input]], [self.values[self.graph.output]]
        model = schema.ModelT()
        model.version, model.subgraphs = 3, [graph]
        model.buffers = [_aligned(schema, buffer) for buffer in self.buffers]
        model.operatorCodes = []
        for code in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode = code, min(code, 127)
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())


def _aligned(schema: Any, buffer: Any) -> Any:
    """A buffer whose data lies on 16 bytes, as the schema demands and the generated Python code forgets."""

    def pack(builder: Any) -> Any:
        vector = None
        if buffer.data is not None:
            builder.StartVector(1, len(buffer.data), _ALIGNMENT)
            builder.head = builder.head - len(buffer.data)
            builder.Bytes[builder.Head() : builder.Head() + len(buffer.data)] = buffer.data.tobytes()
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)

    buffer.Pack = pack
    return buffer
