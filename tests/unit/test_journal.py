"""The records of a long job: kept line by line, read back, and never those of another job."""

from pathlib import Path

import pytest

from compress.errors import UsageError
from deep_compress.search.journal import Journal

HEAD = {"format": 1, "recipe": {"seed": 0, "epochs": 3}}


def test_records_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    journal = Journal(path, HEAD)
    journal.add({"trial": {"density": 0.1}})
    journal.add({"trial": {"density": 1 / 3}})
    assert (
        Journal(path, HEAD).records == journal.records == ({"trial": {"density": 0.1}}, {"trial": {"density": 1 / 3}})
    )


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_was_cut_off_is_dropped(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    journal = Journal(path, HEAD)
    journal.add({"trial": 1})
    journal.add({"trial": "a long one, cut in the middle"})
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path, HEAD)
    assert again.records == ({"trial": 1},)
    again.add({"trial": 2})
    assert Journal(path, HEAD).records == ({"trial": 1}, {"trial": 2})


def test_another_jobs_records_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    Journal(path, HEAD).add({"trial": 1})
    before = path.read_bytes()
    with pytest.raises(UsageError) as caught:
        Journal(path, {"format": 1, "recipe": {"seed": 1, "epochs": 4}})
    assert str(caught.value) == (
        f"{tmp_path}: found a search with other settings (epochs, seed), allowed another directory; --force starts it "
        "anew"
    )
    assert path.read_bytes() == before
    assert Journal(path, {"format": 1, "recipe": {}}, renew=True).records == ()


@pytest.mark.parametrize("content", [b"no JSON\n", b"[1]\n", b"\xff\xfe\n"])
def test_what_is_no_journal_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        Journal(path, HEAD)
    assert str(caught.value) == f"{path}: found no records of a search, allowed another directory"
