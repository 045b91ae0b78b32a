"""Feeds and outputs come back from their file under any name that a model may give them."""

from pathlib import Path

import numpy as np
import pytest

from compress.rounding.feeds import load_arrays, load_feeds, save_arrays, save_feeds


@pytest.mark.parametrize("name", ["x", "file", "allow_pickle", "a/b:0", "größe"])
def test_an_input_of_any_name_comes_back(name: str, tmp_path: Path) -> None:
    feeds = [{name: np.arange(6, dtype=np.float32).reshape(2, 3) * number, "y": np.array(True)} for number in range(12)]
    save_feeds(tmp_path / "feeds.npz", feeds)
    found = load_feeds(tmp_path / "feeds.npz")
    assert [list(feed) for feed in found] == [list(feed) for feed in feeds]
    for one, other in zip(found, feeds, strict=True):
        assert all(one[key].tobytes() == other[key].tobytes() and one[key].dtype == other[key].dtype for key in other)
    save_arrays(tmp_path / "arrays.npz", [(name, np.int8([1, 2]))])
    assert list(load_arrays(tmp_path / "arrays.npz")) == [name]
