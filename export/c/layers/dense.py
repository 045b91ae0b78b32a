"""A convolution with few zeros: six output channels at a time over every tap, so that six sums share each load."""

import numpy as np
from numpy.typing import NDArray

from export.c.text import Code, array

__all__ = ["CHANNELS", "DENSE_FROM", "convolution_dense", "cost"]

CHANNELS = 6
"""Output channels computed together, as the kernel block16 has them: with four vectors of positions 24 sums and four
inputs, what 32 registers hold."""

DENSE_FROM = 0.4
"""Density from which multiplying by the zeros is faster than loading again for every nonzero.

Depends on the machine: chosen on a Zen 5; on an Intel Xeon with AVX-512 (32 channels to 32, 3 × 3, 16 × 16 positions) a
table was faster up to 0.9. It counts only for convolutions too long to be written out, and where registers are few."""


def cost(matrix: NDArray[np.float32], share: float) -> float:
    """What reading every weight in order costs, in nonzeros read from a table; `share` is the cost of one weight."""
    return share * matrix.size


def convolution_dense(
    name: str,
    matrix: NDArray[np.float32],
    offsets: NDArray[np.int64],
    bias: NDArray[np.float32],
    padded: int,
    finish: int | None,
) -> Code:
    """Definitions with a function `name_rows(x, y, plane)`, as `tables.convolution_table` gives for few nonzeros.

    Parameters
    ----------
    name : str
    matrix : float32 [out, taps]
    offsets : int64 [out, taps]
        Where each tap's stretch begins; the same for every output channel.
    bias : float32 [out]
    padded : int
        Positions, rounded up to whole vectors.
    finish : int or None
        Size of a finished plane, where each goes through `plane` to be pooled; None where it is plain.
    """
    count, taps = matrix.shape
    blocks = -(-count // CHANNELS)
    weights = np.zeros((blocks * CHANNELS, taps), dtype=np.float32)
    weights[:count] = matrix
    all_bias = np.zeros(blocks * CHANNELS, dtype=np.float32)
    all_bias[:count] = bias
    width = 16 if offsets.max(initial=0) < 2**16 else 32
    definitions = (
        array(f"{name}_at", offsets[0], f"uint{width}_t")
        + array(f"{name}_w", weights.reshape(blocks, CHANNELS, taps).transpose(0, 2, 1), "float")
        + array(f"{name}_bias", all_bias, "float")
    )
    target = f"y + o * {padded}" if finish is None else "plane"
    kernel = f"block{width}"
    call = f"{kernel}(x, {target}, {name}_bias + o, {taps}, {name}_at, {name}_w + o * {taps}, {padded}, n);"
    if finish is not None:
        call += f"\n        {name}_planes(plane, y + o * {finish}, n);"
    argument = "" if finish is None else ", float *restrict plane"
    definitions += Code(needs=frozenset({kernel}))
    function = f"""static void {name}_rows(const float *restrict x, float *restrict y{argument}) {{
    for (int o = 0; o < {count}; o += {CHANNELS}) {{
        const int n = {count} - o < {CHANNELS} ? {count} - o : {CHANNELS};
        {call}
    }}
}}
"""
    return definitions + function
