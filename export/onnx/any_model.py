"""Any ONNX model with coded tensors: the decoder put in front of it, and the decoder alone to check it with."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from compress.errors import UnsupportedError
from export.onnx.decoder import Part, Plan, attach

if TYPE_CHECKING:
    import onnx

__all__ = ["decoder_alone", "dumps"]


def dumps(
    model: "onnx.ModelProto", parts: Sequence[Part], *, functions: bool, max_load_memory: int | None
) -> tuple[bytes, Plan, int]:
    """Serialise a model with `parts` decoded in front of its nodes.

    Parameters
    ----------
    model : ModelProto
        Changed in place. The names of the parts are those of initialisers, or defined nowhere yet.
    parts : sequence of Part
    functions, max_load_memory
        As in `attach`.

    Returns
    -------
    content : bytes
    plan : Plan
    nodes : int
        Nodes of the decoder, which are the first of the graph.

    Raises
    ------
    UnsupportedError
        The result is not a valid model, or too large for one file.
    """
    import onnx

    before = len(model.graph.node)
    plan = attach(model, parts, functions=functions, max_load_memory=max_load_memory)
    nodes = len(model.graph.node) - before
    if model.ByteSize() > onnx.checker.MAXIMUM_PROTOBUF:
        raise UnsupportedError(f"model: found {model.ByteSize()} bytes, allowed {onnx.checker.MAXIMUM_PROTOBUF}")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise UnsupportedError(f"model: the decoder cannot be put into it ({str(error).splitlines()[0]})") from error
    return model.SerializeToString(deterministic=True), plan, nodes


def decoder_alone(content: bytes, elements: Mapping[str, str], nodes: int) -> bytes:
    """The decoder of a written file as a model of its own.

    Parameters
    ----------
    content : bytes
    elements : mapping of str to str
        Name of every tensor to give out → the ONNX name of its element type. bfloat16 is given out as float32,
        four-bit integers as int8 or uint8: types that NumPy knows.
    nodes : int
        As `dumps` returned it.
    """
    import onnx

    model = onnx.load_model_from_string(content)
    decoder = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    decoder.graph.name = "decoder"
    decoder.graph.node.extend(model.graph.node[:nodes])
    used = {name for node in decoder.graph.node for name in node.input}
    decoder.graph.initializer.extend(item for item in model.graph.initializer if item.name in used)
    plain = {"BFLOAT16": "FLOAT", "INT4": "INT8", "UINT4": "UINT8"}
    for number, (name, element) in enumerate(elements.items()):
        kind = onnx.TensorProto.DataType.Value(plain.get(element, element))
        decoder.graph.node.append(onnx.helper.make_node("Cast", [name], [f"tensor {number}"], to=kind))
        decoder.graph.output.append(onnx.helper.make_tensor_value_info(f"tensor {number}", kind, None))
    return bytes(decoder.SerializeToString())
