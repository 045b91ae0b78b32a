"""What a run writes beside its packed file: the targets that were asked for, and why one of them was not written."""

from collections.abc import Sequence
from pathlib import Path

from compress.errors import UnsupportedError, UsageError
from compress.names import known_name
from compress.observer import Observer
from compress.representation import CompressedModel
from deep_compress.jobs.run_report import WrittenTarget
from export import TARGETS, Artifact

__all__ = ["DEFAULT_TARGETS", "check_targets", "write_targets"]

DEFAULT_TARGETS = ("onnx", "c")
"""Targets of a run that is told none."""

_MODEL = "model"
_LARGE = 1_000_000
"""Weights left from which on a run writes no C unless it is told to: the text would come to tens of megabytes."""


def check_targets(names: Sequence[str]) -> None:
    """Raise `UsageError` unless exactly one of these targets writes the `model.onnx` that accuracy is read from."""
    for name in names:
        known_name("targets", name, TARGETS)
    onnx_targets = [name for name in names if ".onnx" in TARGETS[name].suffixes]
    if len(onnx_targets) != 1 or len(set(names)) != len(names):
        allowed = ", ".join(name for name, target in TARGETS.items() if ".onnx" in target.suffixes)
        raise UsageError(f"targets: found {', '.join(names) or 'none'}, allowed exactly one of {allowed}, and others")


def write_targets(
    model: CompressedModel, names: Sequence[str] | None, directory: Path, observer: Observer
) -> dict[str, WrittenTarget]:
    """Write a model in the form of every target as `model` and the target's suffixes.

    Parameters
    ----------
    model : CompressedModel
    names : sequence of str or None
        As `check_targets` accepts them; None takes DEFAULT_TARGETS, without C for a network with very many weights.
    directory : Path
    observer : Observer
        Gets a note for every remark.

    Returns
    -------
    dict of str to WrittenTarget
        By target.

    Raises
    ------
    UnsupportedError
        The ONNX target cannot take the model. What another target cannot take is a remark.
    """
    found: dict[str, WrittenTarget] = {}
    for name in names or DEFAULT_TARGETS:
        artifact = _artifact(model, name, asked=names is not None)
        for suffix, content in artifact.files.items():
            (directory / f"{_MODEL}{suffix}").write_bytes(content)
        for remark in artifact.remarks:
            observer.note(f"export {name}", remark)
        files = tuple(f"{_MODEL}{suffix}" for suffix in artifact.files)
        found[name] = WrittenTarget(files=files, remarks=artifact.remarks)
    return found


def _artifact(model: CompressedModel, name: str, *, asked: bool) -> Artifact:
    target = TARGETS[name]
    kept = sum(tensor.nnz for tensor in model.coded)
    if name == "c" and not asked and kept > _LARGE:
        left = f"{kept:,} weights are left, more than {_LARGE:,}"
        return Artifact(files={}, remarks=(f"not written: {left}; --targets onnx,c writes it",))
    try:
        return target.write(model, stem=_MODEL)
    except UnsupportedError as error:
        if ".onnx" in target.suffixes:
            raise
        return Artifact(files={}, remarks=(f"not written: {error}",))
