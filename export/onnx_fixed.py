"""Target `onnx-fixed`: as `onnx`, with fixed-width codes and gaps instead of Huffman's: larger, fewest operators."""

from collections.abc import Mapping

from compress.representation import CompressedModel
from export.decoder import attach
from export.onnx_coded import dense_of, parts_of

__all__ = ["dumps"]


def dumps(model: CompressedModel, *, stem: str = "model") -> Mapping[str, bytes]:
    """Serialise the network with a decoder of standard operators in front of it; the same model gives the same bytes.

    Parameters
    ----------
    model : CompressedModel
    stem : str
        Unused: nothing in an ONNX file is named after the file.

    Returns
    -------
    mapping
        `.onnx` → the serialised ModelProto, which `onnx.checker` accepts with its full check.
    """
    import onnx

    proto = model.graph.model(model.weights())
    attach(proto, parts_of(model), huffman=False, dense=dense_of(model))
    onnx.checker.check_model(proto, full_check=True)
    return {".onnx": proto.SerializeToString(deterministic=True)}
