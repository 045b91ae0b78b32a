"""Weights in a safetensors file: the form in which a dense network comes in and goes out."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.errors import WeightsError

__all__ = ["dump_weights", "read_weights"]


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read every floating-point tensor of a safetensors file as float32.

    Raises
    ------
    WeightsError
        The file is missing or no safetensors file, or a value is NaN or infinite: which tensor, which index.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{path}: found no valid safetensors file ({error})") from error
    weights = {
        name: array.astype(np.float32) for name, array in tensors.items() if np.issubdtype(array.dtype, np.floating)
    }
    for name, array in weights.items():
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            raise WeightsError(f"{path}: found {array[index]} in {name} at index {list(index)}, allowed finite weights")
    return weights


def dump_weights(weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The bytes of a safetensors file; equal weights give equal bytes."""
    from safetensors.numpy import save

    return bytes(save({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)}))
