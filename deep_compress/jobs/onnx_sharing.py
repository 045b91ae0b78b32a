"""The weights of an ONNX file, each shared or left, and a row of the report for each."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.observer import Observer
from compress.onnx_file.find import FLOATS
from compress.post_training import OnnxSettings, SharedTensor, Weight, share_tensor
from compress.post_training.report import TensorRow
from compress.post_training.sharing import array_of, coded_bits
from deep_compress.jobs.onnx_bias import Correction
from deep_compress.jobs.onnx_bits import LEFT
from export.onnx.decoder import Part

__all__ = ["Coded", "left_row", "share_all", "share_weight"]

_WORTH_IT = 0.95
_MANY_VALUES = "more than 256 distinct values"


@dataclass(frozen=True, slots=True)
class Coded:
    """A weight that is coded, without the model that it came from.

    Parameters
    ----------
    label, element : str
        As the weight's.
    shared : SharedTensor
    digest : str
        SHA-256 of the bytes that its decoder must give; bfloat16 as float32.
    """

    label: str
    element: str
    shared: SharedTensor
    digest: str

    def part(self, name: str) -> Part:
        """What the decoder writes under a name of the main graph."""
        shared = self.shared
        return Part(
            name=name,
            shape=shared.shape,
            positions=shared.positions,
            codes=shared.codes,
            codebooks=shared.codebooks,
            group_size=shared.group_size,
            order=shared.order,
            element=self.element if self.element in ("INT4", "UINT4") else None,
        )


def share_weight(settings: OnnxSettings, weight: Weight, bits: int) -> SharedTensor | None:
    """A weight with so many bits, as the settings say; None where nothing may be rounded and it has many values."""
    return share_tensor(
        array_of(weight),
        bits=bits,
        sparsity=settings.sparsity if weight.element in FLOATS else 0.0,
        keep_zeros=settings.keep_zeros,
        lossless=settings.lossless,
        channel_axis=weight.channel_axis,
        channels_per_group=settings.channels_per_group,
    )


def share_all(
    weights: Sequence[Weight],
    settings: OnnxSettings,
    bits: Mapping[str, int],
    correction: Correction | None,
    observer: Observer,
) -> tuple[list[Coded], list[TensorRow]]:
    """Code every weight that shrinks.

    Parameters
    ----------
    weights : sequence of Weight
    settings : OnnxSettings
    bits : mapping of str to int
        By label, as `choose_bits` gives them; the settings' for those that are not there.
    correction : Correction or None
        Is told of every weight that is coded.
    observer : Observer

    Returns
    -------
    coded : list of Coded
        Those that shrink.
    rows : list of TensorRow
        One for every weight.
    """
    coded, rows = [], []
    for number, weight in enumerate(weights, 1):
        chosen = bits.get(weight.label, settings.bits)
        shared = None if chosen == LEFT else share_weight(settings, weight, chosen)
        if shared is None:
            reason = "sharing it costs too much output error" if weight.element in FLOATS else _MANY_VALUES
            rows.append(left_row(weight.label, _MANY_VALUES if settings.lossless else reason, weight))
        elif (coded_bytes := int(coded_bits(shared) / 8)) > _WORTH_IT * weight.dense_bytes:
            rows.append(left_row(weight.label, "would not shrink", weight))
        else:
            dense = shared.dense()
            rms = _rms_error(array_of(weight), dense)
            if correction is not None:
                correction.note(weight, dense)
            coded.append(Coded(weight.label, weight.element, shared, _digest(dense, weight.element)))
            rows.append(_row(weight, shared, coded_bytes, rms))
        observer.progress("share", number, len(weights))
    return coded, rows


def left_row(label: str, reason: str, weight: Weight | None = None) -> TensorRow:
    """The row of a tensor that stays as it is."""
    return TensorRow(
        label=label,
        operators=weight.operators if weight else (),
        shape=weight.shape if weight else (),
        element=weight.element if weight else "",
        how="left",
        reason=reason,
        bits=None,
        zeros=0.0,
        dense_bytes=weight.dense_bytes if weight else 0,
        coded_bytes=weight.dense_bytes if weight else 0,
        rms_error=0.0,
    )


def _digest(array: Any, element: str) -> str:
    plain = array.astype(np.float32) if element == "BFLOAT16" else array
    return hashlib.sha256(np.ascontiguousarray(plain).tobytes()).hexdigest()


def _rms_error(array: Any, dense: Any) -> float:
    wanted = array.reshape(-1).astype(np.float32, copy=False)
    changed = dense.reshape(-1).astype(np.float32, copy=False) - wanted
    scale = float(np.dot(wanted, wanted))
    return (float(np.dot(changed, changed)) / scale) ** 0.5 if scale else 0.0


def _row(weight: Weight, shared: SharedTensor, coded_bytes: int, rms: float) -> TensorRow:
    present = shared.codes.size / weight.size
    return TensorRow(
        label=weight.label,
        operators=weight.operators,
        shape=weight.shape,
        element=weight.element,
        how=shared.how,
        reason="",
        bits=max(1, (shared.codebooks.shape[1] - 1).bit_length()),
        zeros=1 - present,
        dense_bytes=weight.dense_bytes,
        coded_bytes=coded_bytes,
        rms_error=rms,
    )
