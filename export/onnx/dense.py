"""Target `onnx-dense`: an ordinary ONNX file with the weights as dense float32 initialisers."""

from collections.abc import Mapping

from compress.representation import CompressedModel

__all__ = ["dumps"]


def dumps(model: CompressedModel, *, stem: str = "model") -> Mapping[str, bytes]:
    """Serialise the network with its decoded weights: what the self-decoding targets become at load, and equal bits.

    Parameters
    ----------
    model : CompressedModel
    stem : str
        Unused: an ONNX file does not depend on its name.

    Returns
    -------
    mapping
        `.onnx` → the serialised ModelProto, which `onnx.checker` accepts with its full check.
    """
    import onnx

    proto = model.graph.model(model.weights())
    onnx.checker.check_model(proto, full_check=True)
    return {".onnx": proto.SerializeToString(deterministic=True)}
