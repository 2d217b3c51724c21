"""What is kept of a file is never older than the file."""

import hashlib
import os
import time

import numpy as np
import pytest

from monai_sr.core import Recent, contents


@pytest.fixture(autouse=True)
def calm(monkeypatch):
    """Files of a test are as good as old ones: their inode, size and times tell them apart."""
    monkeypatch.setattr(contents, "_CALM_NS", 0)


def test_a_function_looks_once_at_a_file_that_stays(tmp_path):
    looked = []

    @contents.once
    def look(path, more=""):
        looked.append(path)
        return more + path.read_text()

    file = tmp_path / "a"
    file.write_text("one")
    assert [look(file), look(file), look(file, "no "), look(file, more="so ")] == [
        "one", "one", "no one", "so one",
    ]  # fmt: skip
    assert len(looked) == 3
    file.write_text("three")
    assert look(file) == "three"


def test_what_comes_beside_a_file_counts_where_it_matters(tmp_path):
    @contents.once_in_folder
    def look(path):
        return sorted(each.name for each in path.parent.iterdir())

    file = tmp_path / "a"
    file.write_text("one")
    assert look(file) == look(file) == ["a"]
    (tmp_path / "b").touch()
    assert look(file) == ["a", "b"]


def test_a_file_that_changed_a_moment_ago_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "_CALM_NS", 10**12)
    file = tmp_path / "a"
    file.write_bytes(b"one")
    assert contents.content(file) == b"one"
    assert contents.kept(file) is None
    assert contents.version(file) is None


def test_times_that_were_set_back_hide_no_change(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"one")
    before = file.stat()
    assert contents.content(file) == b"one"
    time.sleep(0.02)  # clocks of file systems tick slowly
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert contents.content(file) == b"two"


def test_a_checksum_taken_anew_reads_the_disk_and_lets_go(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"one")
    assert contents.content(file) == contents.kept(file) == contents.reading(file).read() == b"one"
    expected = hashlib.sha256(b"one").hexdigest()
    assert contents.file_sha256(file) == contents.file_sha256(file, anew=True) == expected
    assert contents.kept(file) is None


@pytest.mark.parametrize("size", [0, 5, 2**20, 2**20 + 3, 3 * 2**20 + 1])
@pytest.mark.parametrize("is_summed_before", [True, False])
def test_the_sum_of_ends_is_that_of_the_first_and_last_mebibyte(tmp_path, size, is_summed_before):
    file, written = tmp_path / "a", np.random.default_rng(0).bytes(size)
    file.write_bytes(written)
    if is_summed_before:
        assert contents.file_sha256(file) == hashlib.sha256(written).hexdigest()
    expected = hashlib.sha256(written[: 2**20] + written[-(2**20) :]).hexdigest()
    assert contents.ends_sha256(file) == expected


def test_large_contents_are_not_kept_and_old_ones_go(tmp_path, monkeypatch):
    files = [tmp_path / str(number) for number in range(4)]
    for file in files:
        file.write_bytes(bytes(60))
    monkeypatch.setattr(contents, "_CONTENTS", Recent(150))
    for file in files:
        contents.content(file)
    assert [contents.kept(file) is not None for file in files] == [False, False, True, True]
    monkeypatch.setattr(contents, "_MOST_BYTES", 59)
    assert contents.content(files[0]) is None


def test_a_file_that_is_gone_raises_what_opening_it_does(tmp_path):
    for read in (contents.head, contents.content, contents.reading, contents.file_sha256):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")
