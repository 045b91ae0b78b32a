"""Any ONNX file in: find its weights, share them, hand them on as codes and codebooks. No torch, no training."""

from compress.onnx_file.find import Weight, find_weights
from compress.onnx_file.lift import lift
from compress.onnx_file.read import read_onnx
from compress.onnx_file.short_names import shorten_names
from compress.post_training.settings import OnnxSettings
from compress.post_training.sharing import SharedTensor, share_tensor

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
