"""Target `safetensors`: every parameter dense, in its element type, for whatever reads safetensors."""

import numpy as np

from compress.representation import CompressedModel
from export.artifact import Artifact

__all__ = ["write"]


def write(model: CompressedModel, *, stem: str = "model") -> Artifact:
    """Serialise the weights, in the order of their names; equal weights give equal bytes.

    Four-bit integers take a byte each: the format knows none.

    Parameters
    ----------
    model : CompressedModel
    stem : str
        Unused.

    Returns
    -------
    Artifact
        `.safetensors`.
    """
    from safetensors.numpy import save

    weights = {tensor.name: np.ascontiguousarray(tensor.dense()) for tensor in model.tensors}
    return Artifact(files={".safetensors": bytes(save(dict(sorted(weights.items()))))})
