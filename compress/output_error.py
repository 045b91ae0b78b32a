"""How far what a network gives is from what it should: one measure, wherever two networks are compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OutputError", "output_error", "worst_error"]

_TINY = float(np.finfo(np.float32).tiny)
"""Instead of the magnitude of an output that is zero throughout."""


@dataclass(frozen=True, slots=True)
class OutputError:
    """Differences as a fraction of the largest magnitude that their output has in any feed; infinite where none fits.

    Parameters
    ----------
    worst : float
        Over all elements of all outputs.
    mean : float
        The output whose elements differ most on average.
    square : float
        Mean square of the differences: the sum over the outputs, the mean over the feeds.
    """

    worst: float
    mean: float
    square: float


_NONE_FITS = OutputError(np.inf, np.inf, np.inf)


def output_error(wanted: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> OutputError:
    """How far `found` is from `wanted`.

    Parameters
    ----------
    wanted, found : mapping of str to array
        By "feed/output".

    Returns
    -------
    OutputError
        Infinite where shapes, names or the places of NaN and infinity differ.
    """
    if wanted.keys() != found.keys() or any(wanted[key].shape != found[key].shape for key in wanted):
        return _NONE_FITS
    scales: dict[str, float] = {}
    for key, array in wanted.items():
        name = key.split("/", 1)[1]
        scales[name] = max(scales.get(name, _TINY), _largest(array))
    worst = mean = square = 0.0
    for key, array in wanted.items():
        finite = np.isfinite(array)
        if (finite != np.isfinite(found[key])).any():
            return _NONE_FITS
        if finite.any():
            scale = scales[key.split("/", 1)[1]]
            differences = np.abs(found[key][finite].astype(np.float64) - array[finite].astype(np.float64)) / scale
            worst, mean = max(worst, float(differences.max())), max(mean, float(differences.mean()))
            square += float(np.mean(differences**2))
    feeds = len({key.split("/", 1)[0] for key in wanted})
    return OutputError(worst, mean, square / max(feeds, 1))


def worst_error(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """Largest difference of one output, as a fraction of its largest magnitude; infinite as in `output_error`.

    >>> worst_error(np.array([1.0, -4.0]), np.array([1.0, -3.0]))
    0.25
    """
    return output_error({"0/": wanted}, {"0/": found}).worst


def _largest(array: NDArray[Any]) -> float:
    return float(np.abs(array[np.isfinite(array)].astype(np.float64)).max(initial=0.0))
