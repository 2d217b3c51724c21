"""A zip is a folder, unless it is damaged or wants to harm."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest

from monai_sr.core.errors import BadImageError
from monai_sr.core.log import shown
from monai_sr.upscaling import temporary
from monai_sr.upscaling.temporary import Archives


def write_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_lie_in_a_private_folder_that_goes_away(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"CT/1": b"one", "CT/deep/2": b"two", "3": b"three"})
    unpacked = Archives()
    assert not unpacked
    folder = unpacked.unpack(path)
    assert unpacked
    assert (folder / "CT" / "deep" / "2").read_bytes() == b"two"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert shown(f"{folder / 'CT' / '1'}: bad") == f"{path}/CT/1: bad"
    del unpacked
    assert not folder.parent.exists()


def test_links_hidden_files_and_what_systems_add_are_left_out(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        for name in ("__MACOSX/._a", ".DS_Store", "a/.hidden/b", "a/", "a/b", "win\\dows"):
            archive.writestr(name, b"x")
    folder = (unpacked := Archives()).unpack(path)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {"a/b", "win/dows"}
    assert unpacked


def test_what_belongs_to_a_member_comes_with_it(tmp_path):
    wanted = {"in/a.tif", "in/a.tfw", "in/a.tif.msk", "in/a_RPC.TXT", "in/a_rpc.txt"}
    others = {"in/a_2.tif", "in/ab.tif", "a.tfw", "in/b_RPC.TXT"}
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(wanted | others, b"x"))
    folder = (unpacked := Archives()).unpack(path, "in/a.tif")
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == wanted
    assert unpacked


@pytest.mark.parametrize("name", ["../a", "/a", "b/../../a", "..\\a", "C:/a", "C:\\a"])
def test_members_lead_nowhere_else(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(BadImageError, match=r"a\.zip: .* a name that leads out of it"):
        Archives().unpack(path)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_zip_that_was_cut_says_so(tmp_path, share):
    path = write_zip(tmp_path / "a.zip", {"1": os.urandom(5000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BadImageError, match=r"a\.zip: must be a complete zip"):
        Archives().unpack(path)


def test_a_member_whose_sum_is_wrong_says_so(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("1", b"content of a member")
    path.write_bytes(path.read_bytes().replace(b"content", b"c0ntent"))
    with pytest.raises(BadImageError, match="must be a complete zip"):
        Archives().unpack(path)


def test_a_password_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"1": b"x"})
    raw = bytearray(path.read_bytes())
    raw[6] |= 1  # general purpose bit 0: encrypted, in both headers
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(BadImageError, match=r"without password .* unpack it first"):
        Archives().unpack(path)


def test_bombs_are_refused_before_anything_is_unpacked(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"1": bytes(10**6)})
    monkeypatch.setattr(temporary, "_HARMLESS_BYTES", 10**5)
    with pytest.raises(BadImageError, match="must pack at most 100 times, got"):
        Archives().unpack(path)
    monkeypatch.setattr(temporary, "_MOST_BYTES", 10**5)
    with pytest.raises(BadImageError, match=r"must unpack to at most 0\.0 GB here"):
        Archives().unpack(path)
    monkeypatch.setattr(temporary, "_MOST_MEMBERS", 0)
    with pytest.raises(BadImageError, match="must have at most 0 members, got 1"):
        Archives().unpack(path)


def test_members_that_overlap_are_refused(tmp_path):
    content = os.urandom(2000)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("1", content)
        for name in ("2", "3"):  # entries of the directory that point to the first
            again = zipfile.ZipInfo(name)
            first = archive.filelist[0]
            for field in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(again, field, getattr(first, field))
            archive.filelist.append(again)
            archive.NameToInfo[name] = again
    with pytest.raises(BadImageError, match="members must not overlap"):
        Archives().unpack(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1", b"x")
        archive.writestr("1", b"y")
    with pytest.raises(BadImageError, match="must hold each name once"):
        Archives().unpack(path)


def test_a_full_disk_says_so(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"1": b"x"})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(temporary, "_copy", full)
    with pytest.raises(BadImageError, match=r"got 'No space left on device'; .* TMPDIR"):
        Archives().unpack(Path(path))
