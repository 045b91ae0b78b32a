"""One tensor that nobody retrains: prune it, round what is left, or find that it was shared already."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.coding.entropy import entropy_bits
from compress.elements import ELEMENTS, Element, ordinals
from compress.representation import MAX_BITS, Codebook, CodedTensor
from compress.rounding.methods import ROUNDINGS

__all__ = ["Coded", "code_tensor", "coded_bits"]

_MAX_VALUES = 1 << MAX_BITS

_CHUNK = 1 << 20
"""Elements taken at a time, so that what is computed beside them stays at some megabytes."""

_EVIDENTLY_PRUNED = 0.3
"""Part of zeros from which on they are no accident: rounding hardly ever leaves so many in a trained tensor."""

_BYTES_OF_NODES = 64
"""About what an ONNX file takes to give one decoded tensor its place and shape."""

_WIDEST_GAP = 2047
"""Of the ONNX decoder; a wider one is bridged."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A tensor as codes, and whether every element is exactly what it was."""

    tensor: CodedTensor
    exact: bool


def code_tensor(
    array: NDArray[Any],
    *,
    name: str = "",
    element: str = "float32",
    bits: int,
    rounding: str = "k-means",
    sparsity: float = 0.0,
    keep_zeros: bool = False,
    lossless: bool = False,
    channel_axis: int | None = None,
    channels_per_group: int | None = None,
) -> Coded | None:
    """Code a tensor.

    Parameters
    ----------
    array : of the element type's dtype
    name : str
    element : str
        Key in ELEMENTS; integers are always coded without loss.
    bits : int
        At most 2**bits values for a group.
    rounding : str
        Key in ROUNDINGS.
    sparsity : float
        Fraction to prune: exactly round(sparsity · size) elements, smallest magnitudes first, of equals the first.
    keep_zeros : bool
        Zeros stay zeros; they do anyhow where they are 30 % of the tensor.
    lossless : bool
        Round nothing.
    channel_axis, channels_per_group : int or None
        Both given: every so many channels along that axis get a codebook of their own.

    Returns
    -------
    Coded or None
        None where nothing may be rounded and the tensor has too many distinct values.
    """
    kind = ELEMENTS[element]
    exact = _distinct(array)
    if lossless or not kind.floating or (exact is not None and not sparsity):
        return None if exact is None else Coded(_exactly(name, array, kind, exact), exact=True)
    axes, group_size = tuple(range(array.ndim)), max(array.size, 1)
    if channel_axis is not None and channels_per_group is not None:
        axes = (channel_axis, *(axis for axis in axes if axis != channel_axis))
        group_size = min(channels_per_group * (array.size // array.shape[channel_axis]), group_size)
    flat = np.ascontiguousarray(array.transpose(axes)).reshape(-1)
    positions = _survivors(flat, sparsity, keep_zeros)
    values = (flat if positions is None else flat[positions]).astype(np.float32, copy=False)
    edges = np.arange(1, -(-flat.size // group_size)) * group_size
    cuts = edges if positions is None else np.searchsorted(positions, edges)
    codebook, codes = ROUNDINGS[rounding].fit(np.split(values, cuts), bits, kind)
    return Coded(
        CodedTensor(
            name=name,
            shape=array.shape,
            positions=positions,
            codes=codes,
            codebook=codebook,
            element=element,
            group_size=group_size,
            axes=axes,
        ),
        exact=False,
    )


def coded_bits(tensor: CodedTensor) -> float:
    """About how many bits the tensor takes in an ONNX file: entropy of codes and gaps, codebooks, nodes."""
    bits = entropy_bits(np.bincount(tensor.codes)) + 8 * tensor.values().nbytes + 8 * _BYTES_OF_NODES
    if tensor.positions is not None and tensor.positions.size:
        gaps = np.diff(tensor.positions, prepend=np.int32(-1))
        gapped = bits + entropy_bits(np.bincount(np.minimum(gaps, _WIDEST_GAP)))
        filled = bits + entropy_bits(np.array([tensor.nnz, tensor.size - tensor.nnz]))
        return min(gapped, max(filled, float(tensor.size)))
    return bits


def _bit_patterns(array: NDArray[Any]) -> NDArray[Any]:
    """Floats as unsigned integers: what must come back exactly is the bits, the sign of a zero among them."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat if flat.dtype.kind in "iu" else flat.view(f"u{flat.dtype.itemsize}")


def _distinct(array: NDArray[Any]) -> NDArray[Any] | None:
    """All distinct bit patterns but zero's, ascending; None where a code cannot count them."""
    patterns = _bit_patterns(array)
    found = np.zeros(0, patterns.dtype)
    for start in range(0, patterns.size, _CHUNK):
        chunk = patterns[start : start + _CHUNK]
        if np.unique(chunk[:1024]).size > _MAX_VALUES + 1:
            return None
        if found.size:
            place = np.minimum(np.searchsorted(found, chunk), found.size - 1)
            chunk = chunk[found[place] != chunk]
        found = np.union1d(found, chunk)
        if found.size > _MAX_VALUES + 1:
            return None
    found = found[found != 0]
    return found if found.size <= _MAX_VALUES else None


def _exactly(name: str, array: NDArray[Any], kind: Element, distinct: NDArray[Any]) -> CodedTensor:
    """Codes for values that are few: zeros are pruned where they are many, or where no code is left for them."""
    patterns = _bit_patterns(array)
    present = patterns != 0
    zeros = patterns.size - int(np.count_nonzero(present))
    if zeros and distinct.size < _MAX_VALUES and zeros < _EVIDENTLY_PRUNED * patterns.size:
        distinct = np.sort(np.append(distinct, np.zeros(1, distinct.dtype)))
        zeros = 0
    positions = np.flatnonzero(present) if zeros else None
    used = patterns[present] if zeros else patterns
    ranks = np.zeros(used.size, np.uint8)
    for start in range(0, used.size, _CHUNK):
        ranks[start : start + _CHUNK] = np.searchsorted(distinct, used[start : start + _CHUNK])
    values = distinct.view(kind.dtype)
    order = np.argsort(ordinals(values))
    code_of_rank = np.zeros(max(order.size, 1), np.uint8)
    code_of_rank[order] = np.arange(order.size)
    return CodedTensor(
        name=name,
        shape=array.shape,
        positions=positions,
        codes=code_of_rank[ranks],
        codebook=Codebook(values[order], max(1, (distinct.size - 1).bit_length())),
        element=kind.name,
    )


def _survivors(flat: NDArray[Any], sparsity: float, keep_zeros: bool) -> NDArray[np.int64] | None:
    """Positions of what is not pruned; None where everything stays."""
    zero = flat == 0
    zeros = int(np.count_nonzero(zero))
    pruned = round(sparsity * flat.size)
    if pruned > zeros:
        magnitudes = np.abs(flat.astype(np.float32, copy=False))
        threshold = np.partition(magnitudes, pruned - 1)[pruned - 1]
        mask = magnitudes < threshold
        ties = np.flatnonzero(magnitudes == threshold)[: pruned - int(np.count_nonzero(mask))]
        mask[ties] = True
        return np.flatnonzero(~mask)
    if zeros and (pruned or keep_zeros or zeros >= _EVIDENTLY_PRUNED * flat.size):
        return np.flatnonzero(~zero)
    return None
