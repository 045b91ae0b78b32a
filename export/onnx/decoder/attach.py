"""Replace initialisers of an ONNX model by the decoder that computes them."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.errors import UnsupportedError
from compress.graph import nested_graphs
from compress.representation import CodedTensor
from export.onnx.decoder.builder import Builder
from export.onnx.decoder.fixed import write_fixed
from export.onnx.decoder.huffman import write_huffman
from export.onnx.decoder.plan import Plan, plan_of
from export.onnx.decoder.tensors import write_halves, write_zeros

if TYPE_CHECKING:
    import onnx

__all__ = ["attach", "replace"]

_MIN_OPSET = 11
"""The first operator set with all that the decoder is written in."""

_NONE: Mapping[str, NDArray[np.float32]] = MappingProxyType({})

_IR_OF_FUNCTIONS = 8
"""The first IR version that has model-local functions."""


def attach(
    model: "onnx.ModelProto",
    parts: Sequence[CodedTensor],
    *,
    huffman: bool = True,
    functions: bool = True,
    max_load_memory: int | None = None,
    dense: Mapping[str, NDArray[np.float32]] = _NONE,
) -> Plan:
    """Take the initialisers that `parts` replace out of `model` and put their decoder in front of its nodes.

    Parameters
    ----------
    model : ModelProto
        Changed in place.
    parts : sequence of CodedTensor
        With the names of initialisers of the main graph.
    huffman : bool
        False codes everything with fixed widths: larger, and the fewest operators.
    functions : bool
        Allow a model-local function, which keeps the decoder of long streams short; a model of an IR version below
        8 is raised to it then.
    max_load_memory : int or None
        Bytes that the decoder's intermediates may take while a runtime folds them; None allows eight times the
        decoded tensors, and 16 MiB where that is less. Parts that Huffman decoding would take past it get fixed
        widths.
    dense : mapping of str to float32
        Further initialisers; those that float16 holds exactly are stored in it.

    Returns
    -------
    Plan
        What was done with every part.

    Raises
    ------
    UnsupportedError
        The model's operator set lacks the operators of the decoder.
    """
    coded = [part for part in parts if part.codes.size]
    plan = plan_of(coded, huffman=huffman, functions=functions, max_load_memory=max_load_memory)
    if not parts:
        return plan
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if opset < _MIN_OPSET:
        raise UnsupportedError(f"opset: found {opset}, allowed {_MIN_OPSET} or later (CumSum, ScatterElements)")
    domains = {item.domain for item in (*model.opset_import, *model.functions)}
    builder = Builder(opset, set(_names(model.graph)), domains)
    if plan.phases:
        spare = plan.max_load_memory - plan.memory
        write_huffman(builder, plan.phases, functions=functions, spare_memory=spare)
    if plan.fixed:
        write_fixed(builder, plan.fixed)
    for part in parts:
        if not part.codes.size:
            write_zeros(builder, part)
    replace(model, {part.name for part in parts} | write_halves(builder, dense), builder)
    return plan


def replace(model: "onnx.ModelProto", written: set[str], builder: Builder) -> None:
    """Take the initialisers named in `written` out of `model` and put what `builder` holds in front of its nodes."""
    builder.shorten()
    kept = [initializer for initializer in model.graph.initializer if initializer.name not in written]
    nodes = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept + builder.initializers)
    model.graph.node.extend(builder.nodes + nodes)
    if builder.functions:
        model.functions.extend(builder.functions)
        model.opset_import.add(domain=builder.functions[0].domain, version=1)
        model.ir_version = max(model.ir_version, _IR_OF_FUNCTIONS)


def _names(main: "onnx.GraphProto") -> Iterator[str]:
    for graph in nested_graphs(main):
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            yield value.name
        for sparse in graph.sparse_initializer:
            yield sparse.values.name
        for node in graph.node:
            yield from (*node.input, *node.output)
