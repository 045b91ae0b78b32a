"""Sizes in bytes as people write them."""

import pytest

from compress.errors import UsageError
from compress.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("900", 900), ("1b", 1), ("7.5 kB", 7500), ("4KiB", 4096), (" 40 MB ", 40_000_000), ("1GiB", 1 << 30)],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "8 bananas", "-3", "0", "0.2", "1e6", "4 K", "many"])
def test_another_form_is_refused_under_the_options_name(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text, "max-load-memory")
    assert str(caught.value) == f"max-load-memory: found {text!r}, allowed a size such as 8kB, 4KiB or 900"
