"""Target `onnx-dense`: an ordinary ONNX file with the weights as dense initialisers."""

from compress.representation import CompressedModel
from export.artifact import Artifact
from export.onnx.checked import checked_files

__all__ = ["write"]


def write(model: CompressedModel, *, stem: str = "model") -> Artifact:
    """Serialise the network with its decoded weights: what the self-decoding targets become at load, and equal bits.

    Parameters
    ----------
    model : CompressedModel
    stem : str
        Name of the file without its suffix, for the file of external data beside one that is too large.

    Returns
    -------
    Artifact
        `.onnx` → the serialised ModelProto, which `onnx.checker` accepts.
    """
    return Artifact(files=checked_files(model.graph.model(model.weights()), stem))
