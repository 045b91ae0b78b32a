"""How far what a network gives is from what it should: one measure, wherever two networks are compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OutputError", "output_error"]


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
    if wanted.keys() != found.keys():
        return _NONE_FITS
    largest: dict[str, float] = {}
    for key, array in wanted.items():
        name = key.split("/", 1)[1]
        finite = array[np.isfinite(array)].astype(np.float64)
        largest[name] = max(largest.get(name, 0.0), float(np.abs(finite).max(initial=0.0)))
    worst = mean = square = 0.0
    for key, array in wanted.items():
        if array.shape != found[key].shape:
            return _NONE_FITS
        expected, actual = array.astype(np.float64), found[key].astype(np.float64)
        finite = np.isfinite(expected)
        if (finite != np.isfinite(actual)).any():
            return _NONE_FITS
        if finite.any():
            scale = max(largest[key.split("/", 1)[1]], float(np.finfo(np.float32).tiny))
            differences = np.abs(actual[finite] - expected[finite]) / scale
            worst, mean = max(worst, float(differences.max())), max(mean, float(differences.mean()))
            square += float(np.mean(differences**2))
    feeds = len({key.split("/", 1)[0] for key in wanted})
    return OutputError(worst, mean, square / max(feeds, 1))
