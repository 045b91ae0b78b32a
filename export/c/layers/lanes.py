"""A fully connected layer whose rows lie in the lanes of a register, fed by permutations of two registers of inputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.c.text import Code, array, index_type

__all__ = ["Lanes", "lanes", "through_lanes"]

_WINDOW = 16
"""Inputs of a window: what a 512-bit register holds."""

_STEPS = 4
"""Steps that run side by side, each into its own sum: a multiply-add waits four cycles for the one before, and a step's
six loads (two windows, places, codes, and shares of their offsets) take two to three cycles."""

_IDLE = 32
"""Code of a lane that has nothing to do where all 32 weights are taken: BUSY makes its weight zero."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """A matrix as steps: sixteen rows side by side, each taking one of 32 inputs out of two windows of 16.

    Parameters
    ----------
    order : int64 [blocks * 16]
        Row of every lane; -1 where there is none.
    counts : int64 [blocks]
        Steps of every block, a multiple of _STEPS.
    windows : int64 [steps, 2]
        First column of both windows.
    lanes : uint8 [steps, 16]
        Which of the 32 inputs.
    weights : float32 [steps, 16]
        What it is multiplied by; 0 where the lane has nothing to do.
    """

    order: NDArray[np.int64]
    counts: NDArray[np.int64]
    windows: NDArray[np.int64]
    lanes: NDArray[np.uint8]
    weights: NDArray[np.float32]


def lanes(matrix: NDArray[np.float32]) -> Lanes:
    """Arrange a matrix float32 [rows, columns]; rows of like length share a block.

    Greedy: each step takes the window that feeds the most rows, the longest remaining rows first among equals,
    and beside it the window that feeds the most of the others.
    """
    count = len(matrix)
    order = np.argsort(-np.count_nonzero(matrix, axis=1), kind="stable")
    order = np.r_[order, np.full(-count % 16, -1)]
    all_steps: list[tuple[tuple[int, int], NDArray[np.uint8], NDArray[np.float32]]] = []
    counts = []
    for start in range(0, order.size, 16):
        steps = _block(matrix, order[start : start + 16])
        counts.append(len(steps))
        all_steps += steps
    return Lanes(
        order,
        np.array(counts, dtype=np.int64),
        np.array([s[0] for s in all_steps], dtype=np.int64).reshape(-1, 2),
        np.array([s[1] for s in all_steps], dtype=np.uint8).reshape(-1, 16),
        np.array([s[2] for s in all_steps], dtype=np.float32).reshape(-1, 16),
    )


def _block(
    matrix: NDArray[np.float32], rows: NDArray[np.int64]
) -> list[tuple[tuple[int, int], NDArray[np.uint8], NDArray[np.float32]]]:
    columns = matrix.shape[1]
    windows = -(-columns // _WINDOW)
    left: list[list[list[int]]] = [[[] for _ in range(windows)] for _ in range(16)]
    counts = np.zeros((16, windows), dtype=np.int64)
    for lane, row in enumerate(rows):
        if row >= 0:
            for column in np.flatnonzero(matrix[row])[::-1].tolist():
                left[lane][column // _WINDOW].append(column)
                counts[lane, column // _WINDOW] += 1
    steps = []
    while counts.any():
        weight = counts.sum(axis=1, keepdims=True)
        present = counts > 0
        first = int(np.argmax((present * weight).sum(axis=0)))
        others = present & ~present[:, first : first + 1]
        second = int(np.argmax((others * weight).sum(axis=0)))
        index, values = np.zeros(16, np.uint8), np.zeros(16, np.float32)
        for lane in range(16):
            choices = [w for w in (first, second) if counts[lane, w]]
            if not choices:
                continue
            window = max(choices, key=counts[lane].__getitem__)
            column = left[lane][window].pop()
            counts[lane, window] -= 1
            index[lane] = column - window * _WINDOW + (0 if window == first else _WINDOW)
            values[lane] = matrix[rows[lane], column]
        steps.append(((first * _WINDOW, second * _WINDOW), index, values))
    idle = ((0, 0), np.zeros(16, np.uint8), np.zeros(16, np.float32))
    return steps + [idle] * (-len(steps) % _STEPS)


def through_lanes(name: str, matrix: NDArray[np.float32], bias: NDArray[np.float32]) -> Code:
    """The function `name(x, y)`: sixteen rows in the lanes of a register; a step permutes 32 inputs into them."""
    form = lanes(matrix)
    count, columns = matrix.shape
    rows = np.where(form.order < 0, count, form.order)
    in_order = bool((form.order[:count] == np.arange(count)).all())
    at, steps = index_type(max(256, columns)), index_type(int(form.counts.max(initial=0)))
    book = np.unique(form.weights[form.weights != 0])
    shared = book.size <= 32
    definitions = array(f"{name}_lane_bias", np.r_[bias, np.float32(0)][rows], "float", aligned=True)
    definitions += array(f"{name}_lane_steps", form.counts, steps)
    definitions += array(f"{name}_lane_at", form.windows, at)
    if shared:
        # Input in the lowest five bits, which are all that a permutation looks at; weight in the next; then idleness.
        padded = np.zeros(32, dtype=np.float32)
        padded[: book.size] = book
        definitions += array(f"{name}_lane_book", padded, "float", aligned=True)
        idle = book.size if book.size < 32 else _IDLE
        codes = np.where(form.weights != 0, np.searchsorted(book, form.weights), idle)
        definitions += array(f"{name}_lane", form.lanes + codes * 32, "uint16_t", aligned=True)
        kind, weights, advance = "uint16_t", "", ""
        opening = f"\n    const vec low = LOAD({name}_lane_book), high = LOAD({name}_lane_book + 16);"
        weight = "PERMUTE(low, high, p >> 5)" if idle < 32 else "BUSY(PERMUTE(low, high, p >> 5), p)"
    else:
        definitions += array(f"{name}_lane", form.lanes, "uint8_t", aligned=True)
        definitions += array(f"{name}_lane_w", form.weights, "float", aligned=True)
        kind, opening, weight = "uint8_t", "", "LOAD(w + {0})"
        weights, advance = f"    const float *w = {name}_lane_w;\n", f", w += {16 * _STEPS}"
    last = f"STORE(y + 16 * b, LOAD({name}_lane_bias + 16 * b) + ((a0 + a1) + (a2 + a3)));"
    if not in_order:
        definitions += array(f"{name}_lane_row", rows, index_type(count))
        last = f"""float sum[16];
        STORE(sum, LOAD({name}_lane_bias + 16 * b) + ((a0 + a1) + (a2 + a3)));
        for (int i = 0; i < 16; ++i) y[{name}_lane_row[16 * b + i]] = sum[i];"""
    widen = "WIDEN16" if shared else "WIDEN8"
    sums, windows = "", ""
    for i in range(_STEPS):
        first, second = f"at[{2 * i}]", f"at[{2 * i + 1}]"
        if at == "uint16_t":
            # One load for four windows: loads are what this loop waits for.
            if i % 2 == 0:
                windows += (
                    f"\n            uint64_t from{i};\n            memcpy(&from{i}, at + {2 * i}, sizeof from{i});"
                )
            shift = 32 * (i % 2)
            first, second = (f"(from{i - i % 2} >> {shift + 16 * side} & 65535u)" for side in (0, 1))
        sums += f"""
            {{
                const lanes16 p = {widen}(lane + {16 * i});
                a{i} += {weight.format(16 * i)} * PERMUTE(LOAD(x + {first}), LOAD(x + {second}), p);
            }}"""
    side = _STEPS
    advance = f"k -= {side}, at += {2 * side}, lane += {16 * side}{advance}"
    function = f"""static void {name}(const float *restrict x, float *restrict y) {{
    const {at} *at = {name}_lane_at;
    const {kind} *lane = {name}_lane;
{weights}{opening}
    for (int b = 0; b < {form.counts.size}; ++b) {{
        vec a0 = SPLAT(0.0f), a1 = a0, a2 = a0, a3 = a0;
        for (int k = {name}_lane_steps[b]; k > 0; {advance}) {{{windows}{sums}
        }}
        {last}
    }}
}}
"""
    return definitions + function
