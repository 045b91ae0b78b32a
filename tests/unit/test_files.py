"""Files and directories appear whole or not at all."""

from pathlib import Path

import pytest

from compress.errors import CompressError
from compress.files import staged_directory, write_together, write_whole


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staged_directory(tmp_path / "a" / "run", force=False, marker="m") as stage:
        (stage / "m").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_finished_block_takes_its_name(tmp_path: Path) -> None:
    with staged_directory(tmp_path / "run", force=False, marker="m") as stage:
        (stage / "m").write_text("whole")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "m").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_existing_run_is_kept_unless_forced(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "m").write_text("first")
    with pytest.raises(CompressError) as caught, staged_directory(run, force=False, marker="m"):
        pytest.fail("the block ran")
    assert str(caught.value) == f"{run}: found an existing run, allowed a new place; --force replaces it"
    with pytest.raises(RuntimeError), staged_directory(run, force=True, marker="m"):
        raise RuntimeError
    assert (run / "m").read_text() == "first"
    with staged_directory(run, force=True, marker="m") as stage:
        (stage / "m").write_text("second")
    assert (run / "m").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_force_never_replaces_a_directory_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    with pytest.raises(CompressError) as caught, staged_directory(tmp_path / "letters", force=True, marker="m"):
        pytest.fail("the block ran")
    assert str(caught.value) == f"{tmp_path / 'letters'}: found a directory without m, allowed to replace only a run"
    assert (tmp_path / "letters" / "dear.txt").read_text() == "dear"


def test_a_place_that_cannot_be_written_is_found_out_on_entry(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CompressError) as caught,
        staged_directory(tmp_path / "file" / "run", force=False, marker="m"),
    ):
        pytest.fail("the block ran")
    assert str(caught.value).startswith(f"{tmp_path / 'file' / 'run'}: cannot be written (")


def test_write_whole_replaces_and_leaves_no_rest(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"1")
    write_whole(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(CompressError) as caught:
        write_whole(tmp_path / "none" / "a", b"3")
    assert str(caught.value) == f"{tmp_path / 'none' / 'a'}: cannot be written (No such file or directory)"


def test_files_that_belong_together_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    write_together({tmp_path / "a.c": b"1", tmp_path / "a.h": b"2"})
    (tmp_path / "b.h").mkdir()
    with pytest.raises(CompressError) as caught:
        write_together({tmp_path / "a.c": b"3", tmp_path / "b.h": b"4"})
    assert str(caught.value) == f"{tmp_path / 'b.h'}: cannot be written (Is a directory)"
    assert [(path.name, path.read_bytes()) for path in sorted(tmp_path.glob("a*"))] == [("a.c", b"1"), ("a.h", b"2")]
    assert len(list(tmp_path.iterdir())) == 3
