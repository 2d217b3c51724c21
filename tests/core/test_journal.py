"""A journal keeps blocks unharmed, and only for the plan that they belong to."""

from __future__ import annotations

import sys

import pytest

from monai_sr.core import journal as journal_module
from monai_sr.core.errors import OutputError
from monai_sr.core.journal import Journal
from tests.full_disk import at_most


def test_blocks_and_facts_outlive_the_process(tmp_path):
    journal = Journal(tmp_path / "out" / "a.tif", {"scale": 4})
    journal.write("1.block", b"pixels")
    journal.write("2.block", b"")
    journal.keep_facts({"low": 0.25})
    journal.close()
    again = Journal(tmp_path / "out" / "a.tif", {"scale": 4})
    assert again.read("1.block") == b"pixels"
    assert again.has("1.block", 6)
    assert not again.has("1.block", 7)
    assert again.has("2.block", 6)  # empty: nothing is there to keep
    assert again.read("3.block") is None
    assert again.facts() == {"low": 0.25}
    again.remove()
    assert not list((tmp_path / "out").iterdir())


def test_a_damaged_block_is_none(tmp_path):
    journal = Journal(tmp_path / "a.tif", {})
    journal.write("1.block", b"pixels")
    file = journal.folder / "1.block"
    for damaged in (file.read_bytes()[:-1], b"", b"abc", file.read_bytes()[:-1] + b"x"):
        file.write_bytes(damaged)
        assert journal.read("1.block") is None
    journal.remove()


def test_blocks_of_another_plan_are_thrown_away(tmp_path, caplog):
    journal = Journal(tmp_path / "a.tif", {"scale": 4})
    journal.write("1.block", b"pixels")
    journal.keep_facts({"low": 1})
    journal.close()
    other = Journal(tmp_path / "a.tif", {"scale": 2})
    assert other.read("1.block") is None
    assert other.facts() == {}
    assert "finished tiles of an interrupted run are made anew" in caplog.text
    other.remove()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written, .* choose another output folder"):
        Journal(tmp_path / "file" / "a.tif", {})


def test_a_plan_that_cannot_be_written_leaves_nothing(tmp_path):
    with at_most(4), pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path / "a.tif", {"scale": 4})
    assert not list(tmp_path.iterdir())


needs_locks = pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")


def test_what_is_removed_twice_takes_nothing_of_the_next_one(tmp_path):
    journal = Journal(tmp_path / "a.tif", {})
    journal.remove()
    following = Journal(tmp_path / "a.tif", {})
    following.write("1.block", b"pixels")
    journal.remove()
    assert following.read("1.block") == b"pixels"
    following.remove()


@needs_locks
def test_nobody_gets_a_journal_that_is_being_removed(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "a.tif", {})
    remove = journal_module.shutil.rmtree

    def slow(*args, **options):
        with pytest.raises(OutputError, match="one process at a time"):
            Journal(tmp_path / "a.tif", {})
        remove(*args, **options)

    monkeypatch.setattr(journal_module.shutil, "rmtree", slow)
    journal.remove()
    assert not list(tmp_path.iterdir())


@needs_locks
def test_one_that_could_not_begin_is_not_in_the_way_of_the_next(tmp_path):
    with at_most(10), pytest.raises(OutputError, match="cannot be written") as kept:
        Journal(tmp_path / "a.tif", {"scale": 4, "made_by": "x"})
    Journal(tmp_path / "a.tif", {"scale": 4}).remove()
    assert kept.value is not None  # it and its frames live still
