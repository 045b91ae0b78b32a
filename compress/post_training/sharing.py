"""One tensor of any ONNX file: prune it, share its values, or find that it was shared already."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import WeightsError
from compress.onnx_file.find import FLOATS, Weight
from compress.share.k_means import assign, cluster

__all__ = ["SharedTensor", "array_of", "coded_bits", "share_tensor"]

_MAX_VALUES = 256
_CHUNK = 1 << 20
_SAMPLE = 1 << 20
_EVIDENTLY_PRUNED = 0.3
_PRECISION_OF_HALF = 2.0**-11
_UNNOTICED = 1 / 16
_BYTES_OF_NODES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTensor:
    """A tensor as codes into codebooks, one codebook for every group of channels.

    Parameters
    ----------
    how : str
        `shared`, or `lossless` where every element is exactly what it was.
    shape : tuple of int
        Shape with the channels first.
    positions : int64 [n] or None
        Of the elements that are not zero; None where every element has a code.
    codes : uint8 [n]
    codebooks : [groups, k]
        In the element type; INT4 and UINT4 as int8 and uint8.
    group_size : int
        Elements that share a codebook, in the order of `shape`.
    order : tuple of int or None
        Permutation that gives the tensor its own order of axes back.
    """

    how: str
    shape: tuple[int, ...]
    positions: NDArray[np.int64] | None
    codes: NDArray[np.uint8]
    codebooks: NDArray[Any]
    group_size: int
    order: tuple[int, ...] | None

    def dense(self) -> NDArray[Any]:
        """The tensor that the codes stand for, in its own order of axes."""
        size = int(np.prod(self.shape))
        positions = slice(None) if self.positions is None else self.positions
        flat = np.zeros(size, dtype=self.codebooks.dtype)
        if len(self.codebooks) == 1:
            flat[positions] = self.codebooks[0][self.codes]
        else:
            where = np.arange(size) if self.positions is None else self.positions
            flat[positions] = self.codebooks[where // self.group_size, self.codes]
        array = flat.reshape(self.shape)
        return array if self.order is None else array.transpose(self.order)


def array_of(weight: Weight) -> NDArray[Any]:
    """The elements of a weight; INT4 and UINT4 as int8 and uint8.

    Raises
    ------
    WeightsError
        A float is NaN or infinite.
    """
    from onnx import numpy_helper

    array = numpy_helper.to_array(weight.tensor)
    if weight.element in ("INT4", "UINT4"):
        return array.astype(np.int8 if weight.element == "INT4" else np.uint8)
    if weight.element in FLOATS:
        flat = array.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            finite = np.isfinite(flat[start : start + _CHUNK].astype(np.float32))
            if not finite.all():
                index = start + int(np.flatnonzero(~finite)[0])
                raise WeightsError(f"{weight.label}: found NaN or infinity at element {index}, allowed finite weights")
    return array


def share_tensor(
    array: NDArray[Any],
    *,
    bits: int,
    sparsity: float = 0.0,
    keep_zeros: bool = False,
    lossless: bool = False,
    channel_axis: int | None = None,
    channels_per_group: int | None = None,
) -> SharedTensor | None:
    """Code a tensor.

    Parameters
    ----------
    array : float32, float16, bfloat16, int8 or uint8
        Integers are always coded without loss.
    bits : int
        At most 2**bits centroids for a group.
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
    SharedTensor or None
        None where nothing may be rounded and the tensor has too many distinct values.
    """
    exact = _distinct(array)
    if lossless or array.dtype.kind in "iu" or (exact is not None and not sparsity):
        return None if exact is None else _lossless(array, exact)
    grouped = channel_axis is not None and channels_per_group is not None
    moved = np.moveaxis(array, channel_axis, 0) if grouped and channel_axis is not None else array
    order = None
    if grouped and channel_axis:
        moved_axes = [channel_axis, *(axis for axis in range(array.ndim) if axis != channel_axis)]
        order = tuple(int(axis) for axis in np.argsort(moved_axes))
    flat = np.ascontiguousarray(moved).reshape(-1)
    group_size = flat.size
    if grouped and channels_per_group is not None:
        group_size = channels_per_group * (flat.size // moved.shape[0])
    positions = _survivors(flat, sparsity, keep_zeros)
    values = (flat if positions is None else flat[positions]).astype(np.float32, copy=False)
    groups = -(-flat.size // group_size)
    edges = np.arange(1, groups) * group_size
    cuts = edges if positions is None else np.searchsorted(positions, edges)
    codebooks = np.zeros((groups, 1 << bits), dtype=array.dtype)
    codes = np.zeros(values.size, dtype=np.uint8)
    for group, (start, stop) in enumerate(zip([0, *cuts], [*cuts, values.size], strict=True)):
        if start < stop:
            centroids = _centroids(values[start:stop], bits, array.dtype)
            codebooks[group, : centroids.size] = centroids
            _assign_into(codes[start:stop], values[start:stop], centroids.astype(np.float32))
    widest = int(codes.max()) + 1 if codes.size else 1
    return SharedTensor(
        how="shared",
        shape=moved.shape,
        positions=positions,
        codes=codes,
        codebooks=codebooks[:, :widest],
        group_size=group_size,
        order=order,
    )


def coded_bits(shared: SharedTensor) -> float:
    """About how many bits the tensor takes in a file: entropy of codes and gaps, codebooks, nodes."""
    bits = _entropy(np.bincount(shared.codes)) + 8 * shared.codebooks.nbytes + 8 * _BYTES_OF_NODES
    if shared.positions is not None and shared.positions.size:
        size = int(np.prod(shared.shape))
        gapped = bits + _entropy(np.bincount(np.minimum(np.diff(shared.positions, prepend=np.int64(-1)), 2047)))
        filled = bits + _entropy(np.array([shared.positions.size, size - shared.positions.size]))
        return min(gapped, max(filled, float(size)))
    return bits


def _entropy(counts: NDArray[np.int64]) -> float:
    present = counts[counts > 0].astype(np.float64)
    return float((present * np.log2(present.sum() / present)).sum())


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


def _lossless(array: NDArray[Any], distinct: NDArray[Any]) -> SharedTensor | None:
    patterns = _bit_patterns(array)
    present = patterns != 0
    zeros = patterns.size - int(np.count_nonzero(present))
    if zeros and distinct.size < _MAX_VALUES and zeros < _EVIDENTLY_PRUNED * patterns.size:
        distinct = np.sort(np.append(distinct, np.zeros(1, distinct.dtype)))
        zeros = 0
    positions = np.flatnonzero(present) if zeros else None
    used = patterns[present] if zeros else patterns
    codes = np.zeros(used.size, np.uint8)
    for start in range(0, used.size, _CHUNK):
        codes[start : start + _CHUNK] = np.searchsorted(distinct, used[start : start + _CHUNK])
    return SharedTensor(
        how="lossless",
        shape=array.shape,
        positions=positions,
        codes=codes,
        codebooks=distinct.view(array.dtype)[None],
        group_size=max(array.size, 1),
        order=None,
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


def _centroids(values: NDArray[np.float32], bits: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """k-means, on an even sample where there are millions, then one exact step over all values; ascending."""
    generator = np.random.default_rng(0)
    sample = values[:: -(-values.size // _SAMPLE)]
    centroids = cluster(np.ascontiguousarray(sample), 1 << bits, "optimal", generator)
    if sample.size < values.size:
        sums, counts = np.zeros(centroids.size), np.zeros(centroids.size)
        for start in range(0, values.size, _CHUNK):
            chunk = values[start : start + _CHUNK]
            codes = assign(chunk, centroids)
            sums += np.bincount(codes, weights=chunk, minlength=centroids.size)
            counts += np.bincount(codes, minlength=centroids.size)
        centroids = np.where(counts > 0, sums / np.maximum(counts, 1), centroids).astype(np.float32)
    return np.unique((_halved(centroids) if dtype == np.float32 else centroids).astype(dtype))


def _halved(centroids: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ascending centroids in half precision, half the codebook, unless one would move noticeably.

    That is by more than the precision of its own magnitude and a sixteenth of the way to the next centroid.
    """
    with np.errstate(over="ignore"):
        half = centroids.astype(np.float16).astype(np.float32)
    allowed = _PRECISION_OF_HALF * np.abs(centroids)
    if centroids.size > 1:
        spaces = np.diff(centroids, prepend=-np.inf, append=np.inf)
        allowed = np.maximum(allowed, _UNNOTICED * np.minimum(spaces[:-1], spaces[1:]))
    return half if (np.abs(half - centroids) <= allowed).all() else centroids


def _assign_into(codes: NDArray[np.uint8], values: NDArray[np.float32], centroids: NDArray[np.float32]) -> None:
    for start in range(0, values.size, _CHUNK):
        codes[start : start + _CHUNK] = assign(values[start : start + _CHUNK], centroids)
