"""The disk: records appear whole, folders go at once, bytes of links count once."""

from __future__ import annotations

import os
import stat

import pytest

from monai_sr.node.disk import (
    entries,
    make_folder,
    read_record,
    remove_tree,
    tree_bytes,
    write_record,
)


def test_a_record_is_replaced_as_a_whole(tmp_path, monkeypatch) -> None:
    file = tmp_path / "a.json"
    assert read_record(file) is None
    write_record(file, {"n": 1})

    def fails(*names: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="No space"):
        write_record(file, {"n": 2})
    monkeypatch.undo()
    assert read_record(file) == {"n": 1}
    assert entries(tmp_path) == [file]


def test_folders_are_the_users_own(tmp_path) -> None:
    make_folder(tmp_path / "a" / "b")
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_goes_at_once(tmp_path) -> None:
    folder, trash = tmp_path / "a", tmp_path / "trash"
    make_folder(folder / "b")
    make_folder(trash)
    (folder / "b" / "c").write_bytes(b"x")
    remove_tree(folder, trash)
    assert entries(tmp_path) == [trash]
    assert entries(trash) == []
    assert entries(folder) == []


def test_links_of_one_file_count_once(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").write_bytes(b"x" * 10)
    assert tree_bytes(tmp_path) == 1010
