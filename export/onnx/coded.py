"""Target `onnx`: an ONNX file that carries the Huffman-coded weights and decodes them itself at load."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from compress.representation import CompressedModel, CompressedTensor, DenseTensor
from export.onnx.decoder import Part, Plan, attach, plan_of

__all__ = ["dense_of", "dumps", "parts_of", "plan_of_model"]


def dumps(
    model: CompressedModel, *, stem: str = "model", functions: bool = True, max_load_memory: int | None = None
) -> Mapping[str, bytes]:
    """Serialise the network with a decoder of standard operators in front of it; the same model gives the same bytes.

    Parameters
    ----------
    model : CompressedModel
    stem : str
        Unused: nothing in an ONNX file is named after the file.
    functions : bool
        Allow model-local functions, which keep the decoder of long streams short; False writes plain nodes, for
        runtimes that know no functions.
    max_load_memory : int or None
        Bytes that the decoder's intermediates may take while a runtime folds them; None allows eight times the
        dense weights, and 16 MiB where that is less.

    Returns
    -------
    mapping
        `.onnx` → the serialised ModelProto, which `onnx.checker` accepts with its full check.
    """
    import onnx

    proto = model.graph.model(model.weights())
    dense = dense_of(model)
    attach(proto, parts_of(model), functions=functions, max_load_memory=max_load_memory, dense=dense)
    onnx.checker.check_model(proto, full_check=True)
    return {".onnx": proto.SerializeToString(deterministic=True)}


def plan_of_model(model: CompressedModel, *, functions: bool = True, max_load_memory: int | None = None) -> Plan:
    """What `dumps` does with every layer at these options, and which layers get fixed widths for the memory's sake."""
    return plan_of(parts_of(model), huffman=True, functions=functions, max_load_memory=max_load_memory)


def dense_of(model: CompressedModel) -> dict[str, NDArray[np.float32]]:
    """The tensors of a model that are not coded."""
    return {tensor.name: tensor.array for tensor in model.tensors if isinstance(tensor, DenseTensor)}


def parts_of(model: CompressedModel) -> list[Part]:
    """The coded tensors of a model as the decoder takes them."""
    return [
        Part(
            name=tensor.name,
            shape=tensor.shape,
            positions=tensor.csr.positions(),
            codes=tensor.csr.codes,
            codebooks=tensor.codebook.centroids[None],
            group_size=max(tensor.size, 1),
        )
        for tensor in model.tensors
        if isinstance(tensor, CompressedTensor)
    ]
