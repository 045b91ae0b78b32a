"""Compressed tensors inside an ONNX graph, decoded by standard operators that the runtime folds at load."""

from export.decoder.attach import attach
from export.decoder.part import Part
from export.decoder.plan import Plan, default_memory, plan_of

__all__ = ["Part", "Plan", "attach", "default_memory", "plan_of"]
