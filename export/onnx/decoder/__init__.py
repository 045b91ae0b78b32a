"""Compressed tensors inside an ONNX graph, decoded by standard operators that the runtime folds at load."""

from export.onnx.decoder.attach import attach
from export.onnx.decoder.plan import Plan, default_memory, plan_of

__all__ = ["Plan", "attach", "default_memory", "plan_of"]
