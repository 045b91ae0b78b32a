"""Bits for every tensor of an ONNX file, chosen by what each measurably does to the outputs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressError
from compress.observer import Observer
from compress.onnx_file.find import Weight, find_weights
from compress.onnx_file.lift import lift
from compress.onnx_file.read import OnnxFile
from compress.rounding.allocate import upgrade_path
from compress.rounding.feeds import save_arrays
from compress.rounding.probe import vary_weights
from compress.rounding.settings import PostTraining
from compress.rounding.tensor import Coded, code_tensor, coded_bits

__all__ = ["LEFT", "choose_bits"]

LEFT = 0
"""In place of bits: every width of this tensor spoils the outputs more than is allowed."""

_LEAST_BITS = 2
"""One bit is hardly ever worth trying: two values a tensor."""

_SAMPLE = 1 << 18
"""Elements by which the size and error of a width are told: their entropy is known to a hundredth of a bit then."""

_BYTES_OF_DECODER = 3200
"""About what the decoder's nodes take in an ONNX file."""

_TINY = float(np.finfo(np.float64).tiny)
_TIE_BREAK = 1e-6
"""Bytes a bit, so that of two widths that take the same, the narrower one counts as smaller."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    weight: Weight
    sizes: NDArray[np.float64]
    errors: NDArray[np.float64]


def choose_bits(
    file: OnnxFile,
    weights: Sequence[Weight],
    settings: PostTraining,
    *,
    bytes_before: int,
    feeds: Path,
    folder: Path,
    code: Callable[[Weight, int], Coded | None],
    observer: Observer,
) -> dict[str, int]:
    """Bits of every float tensor under the settings' total size or output error.

    Parameters
    ----------
    file : OnnxFile
        Not changed.
    weights : sequence of Weight
        Of `file`.
    settings : PostTraining
    bytes_before : int
        Of the file with dense weights, less what writing it anew saves beside them.
    feeds, folder : Path
        Inputs to measure on; a place for files in between.
    code : callable
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
    chosen = [weight for weight in weights if weight.element.name in ("float32", "float16")]
    probe = _Probe(file, chosen, feeds, folder)
    rough = ((weight.label, code(weight, widths[0])) for weight in chosen)
    losses = probe.one_by_one((label, coded.tensor.dense()) for label, coded in rough if coded is not None)
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
        best = _smallest_within(path, reached, widths, settings.max_error, code, probe, observer)
    return {weight.label: widths[index] for weight, index in zip(reached, best, strict=True)}


def _smallest_within(
    path: Sequence[tuple[tuple[int, ...], float]],
    weights: Sequence[Weight],
    widths: Sequence[int],
    max_error: float,
    code: Callable[[Weight, int], Coded | None],
    probe: "_Probe",
    observer: Observer,
) -> tuple[int, ...]:
    """The first allocation on the path, found by bisection, whose measured output error is allowed."""

    def error(choice: tuple[int, ...]) -> float:
        chosen = zip(weights, choice, strict=True)
        coded = ((weight.label, code(weight, widths[index])) for weight, index in chosen if widths[index] != LEFT)
        return probe.together((label, own.tensor.dense()) for label, own in coded if own is not None)

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


def _candidate(weight: Weight, widths: Sequence[int], settings: PostTraining) -> _Candidate:
    """Bytes and squared error of a weight at every width, on an even sample of its elements."""
    flat = weight.array().reshape(-1)
    stride = -(-flat.size // _SAMPLE)
    sample = np.ascontiguousarray(flat[::stride])
    sizes: list[float] = []
    errors: list[float] = []
    for bits in widths:
        if bits == LEFT:
            sizes.append(max(float(weight.dense_bytes), sizes[-1]) + 1.0)
            errors.append(0.0)
            continue
        coded = code_tensor(
            sample,
            element=weight.element.name,
            bits=bits,
            rounding=settings.rounding,
            sparsity=settings.sparsity,
            keep_zeros=settings.keep_zeros,
        )
        assert coded is not None
        size = min(coded_bits(coded.tensor) * flat.size / sample.size / 8, float(weight.dense_bytes))
        sizes.append(size + _TIE_BREAK * bits)
        errors.append(float(np.mean((coded.tensor.dense().astype(np.float64) - sample.astype(np.float64)) ** 2)))
    return _Candidate(weight, np.maximum.accumulate(np.array(sizes)), np.array(errors))


class _Probe:
    """The model with its weights as inputs: one session, in a process of its own, serves any weights."""

    def __init__(self, file: OnnxFile, weights: Sequence[Weight], feeds: Path, folder: Path) -> None:
        import onnx

        copy = file.copy()
        labels = {weight.label for weight in weights}
        own = [weight for weight in find_weights(copy)[0] if weight.label in labels]
        kinds = [(weight.tensor.data_type, weight.shape) for weight in own]
        self._names = dict(zip([weight.label for weight in own], lift(copy.model, own), strict=True))
        for name, (kind, shape) in zip(self._names.values(), kinds, strict=True):
            copy.model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, shape))
        copy.move_in_()
        self._feeds, self._folder = feeds, folder
        self._model, self._base = folder / "weights-as-inputs.onnx", folder / "base.npz"
        self._model.write_bytes(copy.model.SerializeToString())
        self._save(self._base, ((weight.label, weight.array()) for weight in weights))

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
        labels: list[str] = []

        def named() -> Iterator[tuple[str, NDArray[Any]]]:
            for label, array in arrays:
                labels.append(label)
                yield self._names[label], array

        save_arrays(path, named())
        return labels
