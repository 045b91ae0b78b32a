"""Targets `onnx` and `onnx-fixed`: an ONNX file that carries the coded weights and decodes them itself at load."""

from collections.abc import Mapping
from functools import partial

from compress.elements import ELEMENTS
from compress.errors import UsageError
from compress.graph import move_in_
from compress.representation import CompressedModel
from export.artifact import Artifact
from export.onnx.checked import checked_files
from export.onnx.decoder import Plan, attach, plan_of
from export.onnx.remarks import remarks_on
from export.onnx.short_names import shorten_names

__all__ = ["plan_of_model", "write", "write_fixed"]

_PLAIN = {"bfloat16": "float32", "int4": "int8", "uint4": "uint8"}


def write(
    model: CompressedModel,
    *,
    stem: str = "model",
    functions: bool = True,
    max_load_memory: int | None = None,
    short_names: bool = False,
) -> Artifact:
    """Serialise the network with a decoder of standard operators in front of it; the same model gives the same bytes.

    Parameters
    ----------
    model : CompressedModel
    stem : str
        Name of the file without its suffix, for the file of external data beside one that is too large.
    functions : bool
        Allow model-local functions, which keep the decoder of long streams short; False writes plain nodes, for
        runtimes that know no functions.
    max_load_memory : int or None
        Bytes that the decoder's intermediates may take while a runtime folds them; None allows eight times the
        dense weights, and 16 MiB where that is less.
    short_names : bool
        Give inner values the shortest names there are, and nodes none; inputs and outputs keep theirs.

    Returns
    -------
    Artifact
        `.onnx` → the serialised ModelProto, which `onnx.checker` accepts.

    Raises
    ------
    UsageError
        A negative bound on memory.
    UnsupportedError
        The graph's operator set lacks the operators of the decoder, or the decoder cannot be put into the graph.
    """
    if max_load_memory is not None and max_load_memory < 0:
        raise UsageError(f"max-load-memory: found {max_load_memory}, allowed 0 or more bytes")
    return _write(
        model, stem, huffman=True, functions=functions, max_load_memory=max_load_memory, short_names=short_names
    )


def write_fixed(model: CompressedModel, *, stem: str = "model", short_names: bool = False) -> Artifact:
    """Serialise the network as `write` does, its codes and gaps of one width for every tensor.

    A runtime folds about thirty nodes at load, and the bound on memory does not arise: a weight takes about 13 bytes.
    """
    return _write(model, stem, huffman=False, functions=False, max_load_memory=None, short_names=short_names)


def _write(
    model: CompressedModel, stem: str, *, huffman: bool, functions: bool, max_load_memory: int | None, short_names: bool
) -> Artifact:
    dense = {tensor.name: tensor.array for tensor in model.dense}
    proto = model.graph.model(dense)
    before = len(proto.graph.node)
    floats = {tensor.name: tensor.array for tensor in model.dense if tensor.element == "float32"}
    plan = attach(
        proto, model.coded, huffman=huffman, functions=functions, max_load_memory=max_load_memory, dense=floats
    )
    decoder_nodes = len(proto.graph.node) - before
    renamed: Mapping[str, str] = {}
    shorter_by = 0
    if short_names:
        long = proto.ByteSize()
        renamed = shorten_names(proto)
        shorter_by = long - proto.ByteSize()
    files = checked_files(proto, stem)
    wanted = {renamed.get(tensor.name, tensor.name): tensor.element for tensor in model.coded}
    return Artifact(
        files=files,
        remarks=remarks_on(plan, shorter_by, sum(map(len, files.values()))),
        forced=plan.forced,
        max_load_memory=plan.max_load_memory,
        decoder=partial(_decoder_alone, files, wanted, decoder_nodes),
    )


def plan_of_model(model: CompressedModel, *, functions: bool = True, max_load_memory: int | None = None) -> Plan:
    """What `write` does with every tensor at these options, and which get fixed widths for the memory's sake."""
    return plan_of(model.coded, huffman=True, functions=functions, max_load_memory=max_load_memory)


def _decoder_alone(files: Mapping[str, bytes], elements: Mapping[str, str], nodes: int) -> bytes:
    """The decoder of a written file, its first nodes, as a model of its own.

    Parameters
    ----------
    files : mapping of str to bytes
        `.onnx`, and the external data that it refers to.
    elements : mapping of str to str
        Name of every tensor to give out → its element type. bfloat16 is given out as float32, four-bit integers as
        bytes: types that NumPy knows.
    nodes : int
    """
    import onnx

    model = onnx.load_model_from_string(files[".onnx"])
    decoder = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    decoder.graph.name = "decoder"
    decoder.graph.node.extend(model.graph.node[:nodes])
    used = {name for node in decoder.graph.node for name in node.input}
    decoder.graph.initializer.extend(item for item in model.graph.initializer if item.name in used)
    for tensor in decoder.graph.initializer:
        move_in_(tensor, files.get(".onnx.data", b""))
    for number, (name, element) in enumerate(elements.items()):
        kind = ELEMENTS[_PLAIN.get(element, element)].onnx
        decoder.graph.node.append(onnx.helper.make_node("Cast", [name], [f"tensor {number}"], to=kind))
        decoder.graph.output.append(onnx.helper.make_tensor_value_info(f"tensor {number}", kind, None))
    return bytes(decoder.SerializeToString())
