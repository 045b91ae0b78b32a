"""Write the coded model and run what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export import onnx_model
from export.decoder import Part, Plan
from jobs.onnx_probe import Probe, run_file

__all__ = ["Written", "write_model"]


@dataclass(frozen=True, slots=True)
class Written:
    """The model with its decoder.

    Parameters
    ----------
    content : bytes
    plan : Plan
    nodes : int
        Of the decoder.
    probe : Probe
        What the file did in onnxruntime.
    """

    content: bytes
    plan: Plan
    nodes: int
    probe: Probe


def write_model(
    model: Any, parts: Sequence[Part], *, functions: bool, max_load_memory: int, feeds: Path, folder: Path
) -> Written:
    """Write a model with decoded parts; `model` is not changed."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    content, plan, nodes = onnx_model.dumps(copy, parts, functions=functions, max_load_memory=max_load_memory)
    attempt = folder / "attempt.onnx"
    attempt.write_bytes(content)
    return Written(content, plan, nodes, run_file(attempt, feeds, folder / "attempt.npz"))
