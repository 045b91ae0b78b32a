"""Target `onnx`: an ONNX file that carries the Huffman-coded weights and decodes them itself at load."""

from collections.abc import Mapping

import numpy as np

from compress.representation import CompressedModel, CompressedTensor
from export.decoder import Part, attach

__all__ = ["dumps", "parts_of"]


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
    attach(proto, parts_of(model), functions=functions, max_load_memory=max_load_memory)
    onnx.checker.check_model(proto, full_check=True)
    return {".onnx": proto.SerializeToString(deterministic=True)}


def parts_of(model: CompressedModel) -> list[Part]:
    """The coded tensors of a model as the decoder takes them; tensors of no weight or no survivor stay dense."""
    return [
        Part(
            name=tensor.name,
            shape=tensor.shape,
            positions=tensor.csr.positions(),
            codes=tensor.csr.codes,
            codebooks=np.asarray(tensor.codebook.centroids)[None],
            group_size=tensor.size,
        )
        for tensor in model.tensors
        if isinstance(tensor, CompressedTensor) and tensor.csr.nnz
    ]
