"""Every target says what it writes and refuses options that it does not know; `test_ways` tells what it writes."""

from pathlib import Path

import pytest
from onnx_models import compressed

from compress.errors import UsageError
from compress.packed import container
from deep_compress.jobs import export_file
from export import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_a_summary(name: str) -> None:
    assert TARGETS[name].summary == TARGETS[name].summary.strip() != ""


@pytest.mark.parametrize("name", TARGETS)
def test_an_option_that_a_target_does_not_know_is_refused(name: str, tmp_path: Path) -> None:
    container.save(compressed(), tmp_path / "m.dcz")
    with pytest.raises(UsageError) as caught:
        export_file(tmp_path / "m.dcz", name, tmp_path / "n", {"no_such": "1"})
    known = ", ".join(option.replace("_", "-") for option in TARGETS[name].options) or "none"
    assert str(caught.value) == f"option no-such: not one of target {name}, allowed {known}"
