"""Several results appear together or not at all, and errors name them as the user does."""

from __future__ import annotations

import os

import pytest

from monai_sr.core.atomic import appear_together
from monai_sr.core.errors import OutputError


def test_all_appear_and_nothing_else(tmp_path):
    with appear_together(tmp_path / "new" / "out") as hidden:
        (hidden / "a").write_text("1")
        (hidden / "series").mkdir()
        (hidden / "series" / "s1").write_text("2")
        assert not (tmp_path / "new" / "out" / "a").exists()
    assert sorted(p.name for p in (tmp_path / "new" / "out").iterdir()) == ["a", "series"]
    assert (tmp_path / "new" / "out" / "series" / "s1").read_text() == "2"


def test_nothing_appears_where_one_fails_and_the_message_names_the_result(tmp_path):
    def work():
        with appear_together(tmp_path / "out") as hidden:
            (hidden / "a").write_text("1")
            raise OutputError(f"{hidden / 'a_map'}: cannot be written; free space.")

    with pytest.raises(OutputError) as caught:
        work()
    assert str(caught.value) == f"{tmp_path / 'out' / 'a_map'}: cannot be written; free space."
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_survives_a_failed_exchange(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "s1").write_text("old")
    replace = os.replace

    def fail(source, target):
        if os.path.basename(target) == "b" and ".old" not in str(source):
            raise OSError(28, "No space left on device")
        replace(source, target)

    def work():
        with appear_together(tmp_path) as hidden:
            (hidden / "a").write_text("new")
            (hidden / "b").mkdir()
            monkeypatch.setattr(os, "replace", fail)

    with pytest.raises(OutputError, match="No space left"):
        work()
    assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "b" / "s1").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_what_was_there_is_replaced(tmp_path):
    (tmp_path / "a").write_text("old")
    with appear_together(tmp_path) as hidden:
        (hidden / "a").write_text("new")
    assert (tmp_path / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
