"""Target `c`: packed codes and lanes hold their matrix, and values share memory only when they may."""

import numpy as np
import pytest

from export.c.layers.lanes import lanes
from export.c.layers.packing import packed
from export.c.writing.memory import Request, place


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 1.0])
def test_packed_codes_and_lanes_hold_the_matrix(density: float) -> None:
    generator = np.random.default_rng(8)
    present = generator.random((37, 300)) < density
    matrix = np.where(present, generator.integers(1, 9, present.shape), 0).astype(np.float32)
    form = packed(matrix)
    assert form is not None
    bits = np.unpackbits(form.stream, bitorder="little").tolist()
    at, rebuilt = 0, np.zeros_like(matrix)

    def take(width: int) -> int:
        nonlocal at
        at += width
        return sum(bit << i for i, bit in enumerate(bits[at - width : at]))

    for row, count in enumerate(form.counts):
        column = 0
        for _ in range(count):
            while (gap := take(form.gap_bits)) == 2**form.gap_bits - 1:
                column += gap
            column += gap
            rebuilt[row, column] = form.book[take(form.code_bits)]
            column += 1
    assert np.array_equal(rebuilt, matrix)

    arranged = lanes(matrix)
    rebuilt = np.zeros((38, 304), dtype=np.float32)
    step = 0
    for block, count in enumerate(arranged.counts):
        for _ in range(count):
            for lane in range(16):
                index = int(arranged.lanes[step, lane])
                column = int(arranged.windows[step, index // 16]) + index % 16
                rebuilt[arranged.order[16 * block + lane], column] += arranged.weights[step, lane]
            step += 1
    assert np.array_equal(rebuilt[:37, :300], matrix)


def test_more_than_256_values_cannot_be_codes() -> None:
    assert packed(np.arange(300, dtype=np.float32).reshape(3, 100)) is None


def test_values_that_live_together_lie_apart() -> None:
    requests = [Request("a", 30, 0, 2), Request("b", 5, 1, 1), Request("c", 20, 2, 4), Request("d", 9, 3, 4)]
    layout = place(requests)
    for one in requests:
        for two in requests:
            if one.name < two.name and one.first <= two.last and two.first <= one.last:
                low, high = sorted((one, two), key=lambda r: layout.offsets[r.name])
                assert layout.offsets[low.name] + low.size <= layout.offsets[high.name]
    assert layout.size <= 64
