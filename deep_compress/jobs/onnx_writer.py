"""Write the coded model and run what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.onnx_file.read import all_tensors
from compress.post_training import shorten_names
from deep_compress.jobs.onnx_probe import Probe, run_file
from export.onnx import any_model as onnx_model
from export.onnx.decoder import Part, Plan

__all__ = ["Written", "bytes_of_names", "write_model"]


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
    names : mapping of str to str
        Old to new name of every value of the main graph that was renamed.
    shorter_by : int
        Bytes that short names saved.
    """

    content: bytes
    plan: Plan
    nodes: int
    probe: Probe
    names: Mapping[str, str]
    shorter_by: int


def write_model(
    model: Any,
    parts: Sequence[Part],
    *,
    functions: bool,
    max_load_memory: int,
    short_names: bool,
    feeds: Path,
    folder: Path,
) -> Written:
    """Write a model with decoded parts, under short names unless they are to be kept; `model` is not changed."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    content, plan, nodes = onnx_model.dumps(copy, parts, functions=functions, max_load_memory=max_load_memory)
    names: Mapping[str, str] = {}
    long = len(content)
    if short_names:
        names = shorten_names(copy)
        onnx.checker.check_model(copy)
        content = copy.SerializeToString(deterministic=True)
    attempt = folder / "attempt.onnx"
    attempt.write_bytes(content)
    return Written(content, plan, nodes, run_file(attempt, feeds, folder / "attempt.npz"), names, long - len(content))


def bytes_of_names(model: Any) -> int:
    """Bytes that short names save; `model` is not changed."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in all_tensors(copy):  # to size a model is to serialise it
        tensor.ClearField("raw_data")
    before = copy.ByteSize()
    shorten_names(copy)
    return int(before - copy.ByteSize())
