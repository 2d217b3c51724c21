"""A journal keeps blocks unharmed, and only for the plan that they belong to."""

from __future__ import annotations

import pytest

from monai_sr.core.errors import OutputError
from monai_sr.core.journal import Journal


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
