"""Bits for every tensor of an ONNX file, chosen by what each measurably does to the outputs."""

import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressError
from compress.observer import Observer
from compress.onnx_file.find import find_weights
from compress.post_training import OnnxSettings, SharedTensor, Weight, lift, share_tensor
from compress.post_training.allocate import upgrade_path
from compress.post_training.sharing import array_of, coded_bits
from deep_compress.jobs.onnx_probe import vary_weights

__all__ = ["LEFT", "choose_bits"]

LEFT = 0
"""In place of bits: every width of this tensor spoils the outputs more than is allowed."""

_LEAST_BITS = 2
_SAMPLE = 1 << 18
_BYTES_OF_DECODER = 3200
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True)
class _Candidate:
    weight: Weight
    sizes: NDArray[np.float64]
    errors: NDArray[np.float64]


def choose_bits(
    model: Any,
    weights: Sequence[Weight],
    settings: OnnxSettings,
    *,
    bytes_before: int,
    feeds: Path,
    folder: Path,
    share: Callable[[Weight, int], SharedTensor | None],
    observer: Observer,
) -> dict[str, int]:
    """Bits of every float tensor under the settings' total size or output error.

    Parameters
    ----------
    model : ModelProto
        Not changed.
    weights : sequence of Weight
        Of `model`.
    settings : OnnxSettings
    bytes_before : int
    feeds, folder : Path
        Inputs to measure on; a place for files in between.
    share : callable
        Codes a weight with so many bits.
    observer : Observer

    Returns
    -------
    dict of str to int
        By label, LEFT for a tensor that is to stay as it is; tensors that are not there keep the settings' bits.

    Raises
    ------
    CompressError
        The size cannot be kept.
    """
    widths = [*range(min(_LEAST_BITS, settings.bits), settings.bits + 1), LEFT]
    chosen = [weight for weight in weights if weight.element in ("FLOAT", "FLOAT16")]
    probe = _Probe(model, chosen, feeds, folder)
    rough = {weight.label: share(weight, widths[0]) for weight in chosen}
    losses = probe.one_by_one((label, shared.dense()) for label, shared in rough.items() if shared is not None)
    del rough
    observer.progress("sensitivity", 1, 1)
    # What no input reaches (a branch that was not taken) would look free to spoil: it keeps the settings' bits.
    reached = [weight for weight in chosen if losses.get(weight.label, 0.0) > 0]
    if not reached:
        return {}
    candidates = [_candidate(weight, widths, settings) for weight in reached]
    kept = [_candidate(weight, [settings.bits], settings).sizes[0] for weight in chosen if weight not in reached]
    damages = [losses[own.weight.label] * own.errors / max(float(own.errors[0]), _TINY) for own in candidates]
    path = upgrade_path([candidate.sizes for candidate in candidates], damages)
    if settings.target_size is not None:
        rest = bytes_before - sum(weight.dense_bytes for weight in chosen) + sum(kept) + _BYTES_OF_DECODER
        fitting = [choice for choice, size in path if size + rest <= settings.target_size]
        if not fitting:
            least = int(path[0][1] + rest)
            raise CompressError(f"target-size: found {least} bytes at {widths[0]} bits, allowed {settings.target_size}")
        best = fitting[-1]
    else:
        assert settings.max_error is not None
        best = _smallest_within(path, reached, widths, settings.max_error, share, probe, observer)
    return {weight.label: widths[index] for weight, index in zip(reached, best, strict=True)}


def _smallest_within(
    path: Sequence[tuple[tuple[int, ...], float]],
    weights: Sequence[Weight],
    widths: Sequence[int],
    max_error: float,
    share: Callable[[Weight, int], SharedTensor | None],
    probe: "_Probe",
    observer: Observer,
) -> tuple[int, ...]:
    """The first allocation on the path, found by bisection, whose measured output error is allowed."""

    def error(choice: tuple[int, ...]) -> float:
        chosen = zip(weights, choice, strict=True)
        shared = ((weight.label, share(weight, widths[index])) for weight, index in chosen if widths[index] != LEFT)
        return probe.together((label, own.dense()) for label, own in shared if own is not None)

    low, high = -1, len(path) - 1
    total = max(1, high.bit_length()) + 1
    done = 1
    while high - low > 1:
        middle = (low + high) // 2
        observer.progress("bits", min(done, total - 1), total)
        done += 1
        if error(path[middle][0]) <= max_error:
            high = middle
        else:
            low = middle
    observer.progress("bits", total, total)
    return path[high][0]


def _candidate(weight: Weight, widths: Sequence[int], settings: OnnxSettings) -> _Candidate:
    """Bytes and squared error of a weight at every width, on an even sample of its elements."""
    flat = array_of(weight).reshape(-1)
    stride = -(-flat.size // _SAMPLE)
    sample = np.ascontiguousarray(flat[::stride])
    sizes: list[float] = []
    errors: list[float] = []
    for bits in widths:
        if bits == LEFT:
            sizes.append(max(float(weight.dense_bytes), sizes[-1]) + 1.0)
            errors.append(0.0)
            continue
        shared = share_tensor(sample, bits=bits, sparsity=settings.sparsity, keep_zeros=settings.keep_zeros)
        assert shared is not None
        size = min(coded_bits(shared) * flat.size / sample.size / 8, float(weight.dense_bytes))
        sizes.append(size + (1e-6 * bits))
        errors.append(float(np.mean((shared.dense().astype(np.float64) - sample.astype(np.float64)) ** 2)))
    return _Candidate(weight, np.maximum.accumulate(np.array(sizes)), np.array(errors))


class _Probe:
    """The model with its weights as inputs: one session, in a process of its own, serves any weights."""

    def __init__(self, model: Any, weights: Sequence[Weight], feeds: Path, folder: Path) -> None:
        import onnx

        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        labels = {weight.label for weight in weights}
        own = [weight for weight in find_weights(copy)[0] if weight.label in labels]
        kinds = [(weight.tensor.data_type, weight.shape) for weight in own]
        self._names = dict(zip([weight.label for weight in own], lift(copy, own), strict=True))
        for name, (kind, shape) in zip(self._names.values(), kinds, strict=True):
            copy.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, shape))
        self._feeds, self._folder = feeds, folder
        self._model, self._base = folder / "weights-as-inputs.onnx", folder / "base.npz"
        self._model.write_bytes(copy.SerializeToString())
        self._save(self._base, ((weight.label, array_of(weight)) for weight in weights))

    def one_by_one(self, arrays: Iterable[tuple[str, NDArray[Any]]]) -> dict[str, float]:
        """Mean squared output error by label, each weight changed alone."""
        labels = self._save(self._folder / "other.npz", arrays)
        found = vary_weights(self._model, self._feeds, self._base, self._folder / "other.npz")
        return {label: found[self._names[label]].square for label in labels}

    def together(self, arrays: Iterable[tuple[str, NDArray[Any]]]) -> float:
        """Worst output error with all these weights changed."""
        self._save(self._folder / "other.npz", arrays)
        return vary_weights(self._model, self._feeds, self._base, self._folder / "other.npz", together=True)[""].worst

    def _save(self, path: Path, arrays: Iterable[tuple[str, NDArray[Any]]]) -> list[str]:
        """Write arrays as .npz, one after the other, so that they are not all held at once; returns their labels."""
        labels = []
        with zipfile.ZipFile(path, "w") as archive:
            for label, array in arrays:
                labels.append(label)
                with archive.open(f"{self._names[label]}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        return labels
