"""Positions, CSR and gaps (FORMAT.md, section 4): against scipy.sparse, and by hand."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.sparse import csr_matrix

from compress.packed.places import complement, gap_counts, gap_symbols, positions_of_gaps
from compress.representation import CodedTensor
from compress.sparse import csr_of

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12))
position_sets = st.sets(st.integers(0, 300) | st.integers(0, 10**9), max_size=40).map(
    lambda found: np.array(sorted(found), dtype=np.int64)
)


@given(masks)
@example(np.ones((3, 4), dtype=bool))
@example(np.zeros((3, 4), dtype=bool))
@example(np.zeros((0, 4), dtype=bool))
@example(np.zeros((3, 0), dtype=bool))
def test_csr_is_scipys(mask: np.ndarray) -> None:
    codes = np.arange(np.count_nonzero(mask)) % 256
    ours = csr_of(CodedTensor.of_mask("w", mask, codes, np.arange(256), 8))
    theirs = csr_matrix(mask)
    assert ours.shape == theirs.shape
    assert ours.indptr.tolist() == theirs.indptr.tolist()
    assert ours.indices.tolist() == theirs.indices.tolist()
    assert ours.codes.tolist() == codes.tolist()


@given(masks)
def test_a_complement_is_what_is_left(mask: np.ndarray) -> None:
    flat = mask.ravel()
    assert complement(np.flatnonzero(flat), flat.size).tolist() == np.flatnonzero(~flat).tolist()


@given(st.sets(st.integers(0, 5000), max_size=60).map(sorted), st.integers(1, 8))
def test_gaps_come_back(found: list[int], gap_bits: int) -> None:
    positions = np.array(found, dtype=np.int64)
    symbols = gap_symbols(positions, gap_bits)
    escape = 2**gap_bits - 1
    assert symbols.dtype == np.uint8
    assert symbols.max(initial=0) <= escape
    assert np.count_nonzero(symbols != escape) == positions.size
    assert positions_of_gaps(symbols, gap_bits).tolist() == found


@given(position_sets.filter(lambda positions: positions.size > 0))
def test_counts_are_those_of_the_symbols(positions: np.ndarray) -> None:
    counts = gap_counts(positions)
    assert list(counts) == [1, 2, 3, 4, 5, 6, 7, 8]
    for gap_bits, found in counts.items():
        if found.sum() < 10**6:
            assert found.tolist() == np.bincount(gap_symbols(positions, gap_bits), minlength=256).tolist()
        else:
            escapes = sum(int(gap) // (2**gap_bits - 1) for gap in np.diff(positions, prepend=-1) - 1)
            assert found[2**gap_bits - 1] == escapes


@pytest.mark.parametrize(
    ("positions", "gap_bits", "symbols"),
    [
        ([0, 1, 5, 20], 3, [0, 0, 3, 7, 7, 0]),
        ([0, 1, 5, 8], 1, [0, 0, 1, 1, 1, 0, 1, 1, 0]),
        ([6], 3, [6]),
        ([7], 3, [7, 0]),
        ([8], 3, [7, 1]),
        ([254], 8, [254]),
        ([255], 8, [255, 0]),
        ([], 5, []),
    ],
)
def test_gaps_worked_by_hand(positions: list[int], gap_bits: int, symbols: list[int]) -> None:
    found = gap_symbols(np.array(positions, dtype=np.int64), gap_bits)
    assert found.tolist() == symbols
    assert positions_of_gaps(found, gap_bits).tolist() == positions
