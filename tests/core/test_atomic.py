"""A result appears whole or not at all."""

from __future__ import annotations

import os

import pytest

from monai_sr.core.atomic import atomic_file, atomic_folder
from monai_sr.core.errors import OutputError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_while_writing_file(path):
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        temporary.with_name(temporary.name + ".aux.xml").write_text("stray")
        raise RuntimeError


def fail_while_writing_folder(path):
    with atomic_folder(path) as temporary:
        (temporary / "half").write_text("half")
        raise RuntimeError


def test_file_appears_with_its_content_and_nothing_beside(tmp_path):
    with atomic_file(tmp_path / "new" / "a.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        assert temporary.parent.parent == tmp_path / "new"
        temporary.write_text("done")
        temporary.with_name(temporary.name + ".aux.xml").write_text("stray")
    assert names(tmp_path / "new") == ["a.nii.gz"]
    assert (tmp_path / "new" / "a.nii.gz").read_text() == "done"


def test_suffix_of_a_name_with_dots_is_kept(tmp_path):
    with atomic_file(tmp_path / "1.2.840.dcm") as temporary:
        assert temporary.suffix == ".dcm"
        temporary.write_text("done")


def test_exception_midway_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        fail_while_writing_file(tmp_path / "new" / "deep" / "a.tif")
    with pytest.raises(RuntimeError):
        fail_while_writing_folder(tmp_path / "other" / "series")
    assert names(tmp_path) == []


def test_exception_midway_keeps_the_old_result(tmp_path):
    (tmp_path / "a.tif").write_text("old")
    with pytest.raises(RuntimeError):
        fail_while_writing_file(tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_text() == "old"
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_text("old")
    with pytest.raises(RuntimeError):
        fail_while_writing_folder(tmp_path / "series")
    assert names(tmp_path) == ["a.tif", "series"]
    assert (tmp_path / "series" / "1.dcm").read_text() == "old"


def test_folder_replaces_an_existing_one_as_a_whole(tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "old.dcm").write_text("old")
    with atomic_folder(tmp_path / "series") as temporary:
        (temporary / "new.dcm").write_text("new")
    assert names(tmp_path) == ["series"]
    assert names(tmp_path / "series") == ["new.dcm"]


def test_block_that_writes_nothing_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), atomic_file(tmp_path / "a.tif"):
        pass


def test_path_of_the_wrong_kind_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="remove or rename"), atomic_folder(tmp_path / "file"):
        pass
    with pytest.raises(OutputError, match="remove or rename"), atomic_file(tmp_path):
        pass


def test_folder_that_is_a_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="choose another output folder") as caught,
        atomic_file(tmp_path / "file" / "a.tif"),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "file" / "a.tif") in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_write_permission_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with (
        pytest.raises(OutputError, match="make it writable"),
        atomic_file(tmp_path / "locked" / "a.tif"),
    ):
        pass
