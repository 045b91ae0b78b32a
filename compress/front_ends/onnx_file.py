"""The front end for ONNX files: find the weights, choose bits, code each, and the compressed model that comes out.

No training, and no torch. What is measured is measured by onnxruntime, in processes of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.elements import ELEMENTS, element_of_onnx
from compress.errors import CompressError
from compress.graph import Graph, hollow_out_, mark_constants_
from compress.observer import Observer, Silent
from compress.onnx_file.find import Weight, find_weights, not_finite_at, stored_tensors
from compress.onnx_file.lift import lift
from compress.onnx_file.read import OnnxFile
from compress.representation import MAX_SIZE, CodedTensor, CompressedModel, DenseTensor, Tensor
from compress.rounding.bias import Correction
from compress.rounding.bits import LEFT, choose_bits
from compress.rounding.report import TensorRow, row_of_coded, row_of_left
from compress.rounding.settings import PostTraining
from compress.rounding.tensor import Coded, code_tensor

__all__ = ["OnnxCompression", "compress_onnx_file", "dense_model_of"]

_SILENT = Silent()

_WORTH_IT = 0.95
"""Part of its dense bytes that a coded tensor may take: one that saves less is not worth its nodes and its rounding."""

_MANY_VALUES = "more than 256 distinct values"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxCompression:
    """What the front end gives.

    Parameters
    ----------
    model : CompressedModel
    corrected : CompressedModel or None
        The same with corrected biases, where there is calibration data and a bias to correct: whoever writes it sees
        which of the two is nearer.
    biases : int
        How many were corrected.
    labels : mapping of str to str
        Parameter → the tensor's name in the file, with the graph it was in.
    rows : tuple of TensorRow
        One for every tensor that is large enough to be coded.
    """

    model: CompressedModel
    corrected: CompressedModel | None
    biases: int
    labels: Mapping[str, str]
    rows: tuple[TensorRow, ...]


def compress_onnx_file(
    file: OnnxFile,
    settings: PostTraining,
    *,
    feeds: Path,
    folder: Path,
    calibrated: bool = False,
    spared_bytes: int = 0,
    observer: Observer = _SILENT,
) -> OnnxCompression:
    """Code the weights of a model that nobody retrains.

    Parameters
    ----------
    file : OnnxFile
        Used up: its data leave the model.
    settings : PostTraining
    feeds : Path
        Inputs (.npz, see `compress.rounding.probe`) on which errors are measured where bits are chosen.
    folder : Path
        For files in between.
    calibrated : bool
        The inputs are real ones: biases may be corrected by them.
    spared_bytes : int
        What writing the file anew saves beside the weights, for a target size.
    observer : Observer

    Returns
    -------
    OnnxCompression

    Raises
    ------
    WeightsError
        A weight is NaN or infinite.
    CompressError
        There are no weights, none would shrink, or the target size cannot be kept.
    """
    weights, reasons = find_weights(file)
    if not weights and not reasons:
        raise CompressError(f"{file.name}: found no weights of 256 elements or more, allowed a model with some")
    code = partial(_code, settings)
    bits: Mapping[str, int] = {}
    if settings.max_error is not None or settings.target_size is not None:
        bits = choose_bits(
            file,
            weights,
            settings,
            bytes_before=file.size - spared_bytes,
            feeds=feeds,
            folder=folder,
            code=code,
            observer=observer,
        )
    correction = None
    if calibrated and settings.bias_correction and not settings.lossless:
        correction = Correction(file, weights, feeds, folder)
    coded: list[tuple[Weight, CodedTensor]] = []
    rows: list[TensorRow] = []
    for number, weight in enumerate(weights, 1):
        width = bits.get(weight.label, settings.bits)
        found = None if width == LEFT else code(weight, width)
        rows.append(_row(weight, found, settings, correction))
        if found is not None and rows[-1].how != "left":
            coded.append((weight, found.tensor))
        observer.progress("share", number, len(weights))
    if not coded:
        raise CompressError(f"{file.name}: found no tensor that would shrink, allowed at least one")
    rows += [row_of_left(label, reason) for label, reason in reasons.items()]
    biases = correction.biases if correction is not None else {}
    model, labels = _model_of(file, coded, tuple(biases), _provenance(settings))
    corrected = _with_biases(model, biases) if biases else None
    return OnnxCompression(model=model, corrected=corrected, biases=len(biases), labels=labels, rows=tuple(rows))


def dense_model_of(file: OnnxFile) -> CompressedModel:
    """A model of which nothing is coded, so that whatever takes models takes an ONNX file; the file is used up."""
    return _model_of(file, (), (), {})[0]


def _code(settings: PostTraining, weight: Weight, bits: int) -> Coded | None:
    """A weight with so many bits, as the settings say; None where nothing may be rounded and it has many values."""
    return code_tensor(
        weight.array(),
        name=weight.label,
        element=weight.element.name,
        bits=bits,
        rounding=settings.rounding,
        sparsity=settings.sparsity if weight.element.floating else 0.0,
        keep_zeros=settings.keep_zeros,
        lossless=settings.lossless,
        channel_axis=weight.channel_axis,
        channels_per_group=settings.channels_per_group,
    )


def _row(weight: Weight, coded: Coded | None, settings: PostTraining, correction: Correction | None) -> TensorRow:
    """What became of a weight; the correction of biases is told of it where it is coded."""
    if coded is None:
        rounded = weight.element.floating and not settings.lossless
        return row_of_left(weight.label, "sharing it costs too much output error" if rounded else _MANY_VALUES, weight)
    dense = coded.tensor.dense()
    row = row_of_coded(weight, coded, dense.astype(np.float32) - weight.array().astype(np.float32, copy=False))
    if row.coded_bytes > _WORTH_IT * row.dense_bytes:
        return row_of_left(weight.label, "would not shrink", weight)
    if correction is not None:
        correction.note(weight, dense)
    return row


def _model_of(
    file: OnnxFile, coded: Sequence[tuple[Weight, CodedTensor]], biases: Sequence[str], provenance: Mapping[str, str]
) -> tuple[CompressedModel, dict[str, str]]:
    """The compressed model: what is coded and all that is dense are parameters, the rest of the model is the graph."""
    import onnx

    model = file.model
    stored = {name: (node, tensor) for name, node, tensor in stored_tensors(model.graph)}
    held = [name for name in biases if stored[name][0] is not None]
    lifted = [weight for weight, _ in coded]
    lifted += [Weight(file, name, model.graph, *stored[name]) for name in held]
    arrays = {name: file.array(stored[name][1]) for name in held}
    names = lift(model, lifted)
    tensors: dict[str, Tensor] = {}
    for initializer in model.graph.initializer:
        kind = element_of_onnx(initializer.data_type)
        fits = kind is not None and 0 < int(np.prod(initializer.dims)) <= MAX_SIZE
        array = file.array(initializer) if fits else None
        if kind is not None and array is not None and not_finite_at(array) is None:
            tensors[initializer.name] = DenseTensor(initializer.name, array, kind.name)
    added: list[Tensor] = [replace(own, name=name) for name, (_, own) in zip(names, coded, strict=False)]
    added += [DenseTensor(name, arrays[name]) for name in held]
    for tensor in added:
        tensors[tensor.name] = tensor
        element = ELEMENTS[tensor.element].onnx
        model.graph.initializer.append(onnx.TensorProto(name=tensor.name, dims=tensor.shape, data_type=element))
    hollow_out_(model, tensors)
    file.move_in_()
    mark_constants_(model, tensors)
    graph = Graph(None, model.SerializeToString(deterministic=True))
    labels = {name: weight.label for name, (weight, _) in zip(names, coded, strict=False)}
    return CompressedModel(graph, tuple(tensors[name] for name in graph.parameters), provenance), labels


def _with_biases(model: CompressedModel, biases: Mapping[str, NDArray[np.float32]]) -> CompressedModel:
    changed = (
        DenseTensor(tensor.name, biases[tensor.name]) if tensor.name in biases else tensor for tensor in model.tensors
    )
    return CompressedModel(model.graph, tuple(changed), model.provenance)


def _provenance(settings: PostTraining) -> dict[str, str]:
    told = {"bits": settings.bits, **settings.changed()}
    return {
        "post-training": " ".join(f"{name}={value}" for name, value in told.items()),
        "versions": " ".join(f"{name} {metadata.version(name)}" for name in ("deep-compress", "onnx")),
    }
