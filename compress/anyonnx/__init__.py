"""Any ONNX file in: find its weights, share them, hand them on as codes and codebooks. No torch, no training."""

from compress.anyonnx.find import Weight, find_weights
from compress.anyonnx.lift import lift
from compress.anyonnx.read import read_onnx
from compress.anyonnx.rename import shorten_names
from compress.anyonnx.settings import OnnxSettings
from compress.anyonnx.sharing import SharedTensor, share_tensor

__all__ = [
    "OnnxSettings",
    "SharedTensor",
    "Weight",
    "find_weights",
    "lift",
    "read_onnx",
    "share_tensor",
    "shorten_names",
]
