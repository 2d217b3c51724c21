"""The format of a file is told in one place; what claims to be an image must be one."""

from __future__ import annotations

import json
import re
import struct

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRLittleEndian

from monai_sr.core.errors import BadImageError
from monai_sr.evaluation.images import read_image
from monai_sr.formats import (
    claims_image,
    find_reader,
    format_of,
    format_of_meta,
    is_dicomdir,
    output_suffix,
)
from monai_sr.formats.dicom.format import listed_files
from monai_sr.formats.registry import FORMATS
from monai_sr.reports.display import window_viewer
from monai_sr.training.training_arrays import ReadTrainingImage
from monai_sr.training.training_images import list_images
from monai_sr.transforms import load_image
from monai_sr.upscaling.inputs import Search
from tests import dicom_factory
from tests.image_factory import pixels, write_raster

DIRECTORY = "1.3.10"
SR, PR, KO = "88.11", "11.1", "88.59"
WITHOUT_PIXELS = {
    "report": SR, "presentation state": PR, "key objects": KO, "structure set": "481.3",
    "plan": "481.5", "pdf": "104.1", "waveform": "9.1.1", "registration": "66.1",
    "raw data": "66", "spectroscopy": "4.2",
}  # fmt: skip
WITH_PIXELS = {"ct": "2", "segmentation": "66.4", "dose": "481.2", "map": "30", "volume": "6.2"}
TEXTS = {
    "README": "How to\n", "README.md": "# How to\n", "LICENSE.txt": "1 2 3\n4 5 6\n",
    "a.json": json.dumps({"type": "FeatureCollection", "features": []}), "a.xml": "<a/>",
    "a.csv": "x,y,z\n0,0,1\n1,0,2\n0,1,3\n1,1,4\n", "BMI table": "BMI of all\n",
    "points.xyz": "0 0 1\n1 0 2\n0 1 3\n1 1 4\n", "P5": "P5 is not P6\n",
}  # fmt: skip


def write_object(path, sop_class, **tags):
    """Write DICOM of a class, without pixels."""
    header = Dataset()
    start = "1.2.840.10008." if sop_class == DIRECTORY else "1.2.840.10008.5.1.4.1.1."
    header.SOPClassUID = f"{start}{sop_class}"
    header.SOPInstanceUID = "1.2.3.4"
    header.Modality = "OT"
    for key, value in tags.items():
        setattr(header, key, value)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("kind", WITHOUT_PIXELS)
def test_objects_without_pixels_claim_nothing_even_with_rows(tmp_path, kind):
    file = write_object(tmp_path / "a.dcm", WITHOUT_PIXELS[kind], Rows=4, Columns=4)
    assert not claims_image(file)


@pytest.mark.parametrize("kind", WITH_PIXELS)
def test_classes_with_pixels_claim_to_be_images_though_theirs_are_lost(tmp_path, kind):
    assert claims_image(write_object(tmp_path / "a.dcm", WITH_PIXELS[kind]))


def test_what_is_damaged_or_of_no_class_claims_to_be_an_image(tmp_path):
    (tmp_path / "a").write_bytes(b"\0" * 128 + b"DICM")
    assert claims_image(tmp_path / "a")
    whole = dicom_factory.write(tmp_path / "b", dicom_factory.stored((1, 6, 9))).read_bytes()
    (tmp_path / "c").write_bytes(whole[:200])
    assert claims_image(tmp_path / "c")


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_no_images(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name])
    assert not claims_image(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        b"PK\x03\x04",
        b"RIFF\0\0\0\0WAVE",
        b"\x89HDF\r\n\x1a\n",
        bytes(range(256)) * 20,
    ],
)
def test_other_binary_files_are_no_images(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert not claims_image(tmp_path / "a")


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "gif", "tiff", "webp", "jpeg2000", "ppm"])
def test_a_picture_needs_no_suffix_and_stays_one_when_it_is_cut(tmp_path, kind):
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "a", kind)
    assert claims_image(tmp_path / "a")
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:40])
    assert claims_image(tmp_path / "a") or kind == "ppm"


@pytest.mark.parametrize(
    "name", ["a.png", "a.nii.gz", "a.dcm", "a.tif", "a.heic", "a.nrrd", "A.JPG"]
)
def test_a_name_is_a_claim(tmp_path, name):
    (tmp_path / name).write_text("text")
    assert claims_image(tmp_path / name)


def test_what_gdal_knows_by_its_header_beside_it_is_an_image(tmp_path):
    write_raster(tmp_path / "a.dat", driver="ENVI")
    assert claims_image(tmp_path / "a.dat")
    assert not claims_image(tmp_path / "a.hdr")
    nib.Nifti1Pair(pixels((4, 5, 6), "int16"), np.eye(4)).to_filename(tmp_path / "b.img")
    assert claims_image(tmp_path / "b.img")


@pytest.fixture
def medium(tmp_path):
    """Write a DICOMDIR and what it lists, as discs have it."""
    source = dicom_factory.write_series(
        tmp_path / "source", StudyDate="20200101", StudyTime="120000", StudyID="1", SeriesNumber=1
    )
    files = FileSet()
    for file in sorted(source.iterdir()):
        files.add(file)
    files.write(tmp_path / "disc")
    files._stage["t"].cleanup()  # which it leaves to the garbage collector, with a warning
    return tmp_path / "disc" / "DICOMDIR"


def test_a_dicomdir_lists_its_files_whatever_their_case(medium):
    assert is_dicomdir(medium)
    files = listed_files(medium)
    below = {f for f in medium.parent.rglob("*") if f.is_file() and f != medium}
    assert files == below
    assert len(files) == 4
    top = next(p for p in medium.parent.iterdir() if p.is_dir())
    top.rename(top.with_name(top.name.lower()))
    assert len(listed_files(medium)) == 4


def test_a_dicomdir_that_names_no_file_that_is_there_says_so(medium, caplog):
    files = sorted(listed_files(medium))
    files[0].unlink()
    assert listed_files(medium) == set(files[1:])
    assert "lists 1 files that are not there" in caplog.text
    for file in files[1:]:
        file.unlink()
    with pytest.raises(BadImageError, match="must list files that are there, got none"):
        listed_files(medium)


def test_a_dicomdir_names_no_files_elsewhere(tmp_path):
    record = Dataset()
    record.DirectoryRecordType = "IMAGE"
    for parts in (["..", "a"], "/etc/passwd", ["A", "..", "..", "B"]):
        record.add(DataElement("ReferencedFileID", "CS", parts, validation_mode=IGNORE))
        path = write_object(tmp_path / "DICOMDIR", DIRECTORY, DirectoryRecordSequence=[record])
        assert is_dicomdir(path)
        assert not claims_image(path)
        with pytest.raises(BadImageError, match="own folder only, got another place"):
            listed_files(path)


def test_a_damaged_meta_header_ends_no_search(tmp_path):
    path = dicom_factory.write(tmp_path / "a.dcm")
    whole = path.read_bytes()
    at = whole.index(b"\x02\x00\x02\x00UI")  # (0002,0002) Media Storage SOP Class UID
    damaged = whole[: at + 4] + b"\x55\xff" + whole[at + 6 :]
    path.write_bytes(damaged.replace(b"\x08\x00\x16\x00UI", b"\x08\x00\x15\x00UI"))
    assert not is_dicomdir(path)
    assert claims_image(path)


@pytest.mark.parametrize("size", [12, 40, 52, 56, 64, 108, 124])
def test_a_bitmap_is_known_by_the_size_of_its_header(tmp_path, size):
    """Core, info, its second and third version, OS/2's, fourth and fifth version."""
    (tmp_path / "a").write_bytes(struct.pack("<2s4I", b"BM", 5000, 0, 200, size))
    assert claims_image(tmp_path / "a")
    (tmp_path / "b").write_bytes(struct.pack("<2s4I", b"BM", 5000, 0, 200, size + 1))
    assert not claims_image(tmp_path / "b")


def lying_names(folder):
    """Write files whose names say another format than their content."""
    stored = dicom_factory.stored((1, 6, 9))
    nib.Nifti1Image(pixels((4, 5, 6), "int16"), np.eye(4)).to_filename(folder / "a.nii")
    (folder / "a.nii").rename(folder / "scan.bin")
    nib.Nifti2Image(pixels((4, 5, 6), "int16"), np.eye(4)).to_filename(folder / "b.nii")
    (folder / "b.nii").rename(folder / "scan.png")
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(folder / "photo.dcm", "png")
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(folder / "photo.nii.gz", "tiff")
    return {
        dicom_factory.write(folder / "b.png", stored): "DICOM",
        dicom_factory.write(folder / "c.nii", stored): "DICOM",
        folder / "scan.bin": "NIfTI",
        folder / "scan.png": "NIfTI",
        folder / "photo.dcm": "a raster",
        folder / "photo.nii.gz": "a raster",
    }


def test_content_decides_on_the_format_whatever_the_name(tmp_path, caplog):
    for path, title in lying_names(tmp_path).items():
        found = format_of(path)
        assert found.title == title, path
        reader = find_reader(path)
        assert format_of_meta(reader.get_data(reader.read(path))[1]) is found
    assert "photo.dcm: is a raster by its content, whatever its name" in caplog.text


def test_all_who_open_files_agree_on_the_format(tmp_path):
    """Upscale by its search and its loader, train, evaluate, and the viewers of reports."""
    folder = tmp_path / "in"
    folder.mkdir()
    series = dicom_factory.stored((1, 70, 90))
    path = dicom_factory.write(folder / "b.png", series)
    search = Search(tmp_path / "out", is_named=True)
    search.find(folder, set(), is_asked=True)
    assert search.found == {path: [path]}
    assert format_of_meta(load_image(path).meta).title == "DICOM"
    values, *_ = read_image((path,))
    np.testing.assert_allclose(values.shape, (1, 70, 90))
    assert list_images(folder) == [path]
    assert ReadTrainingImage(1)(path).shape == (1, 70, 90)
    assert window_viewer("b.png", [folder]) is not None
    assert output_suffix(path) == ".dcm"


def test_a_name_decides_where_the_content_tells_nothing(tmp_path):
    for name in ("a.dcm", "a.nii", "a.nii.gz", "a.png", "a"):
        (tmp_path / name).write_bytes(bytes(range(100)))
    titles = [format_of(tmp_path / n).title for n in ("a.dcm", "a.nii", "a.nii.gz", "a.png", "a")]
    assert titles == ["DICOM", "NIfTI", "NIfTI", "a raster", "a raster"]
    assert format_of(tmp_path / "missing.ima").title == "DICOM"


def test_compressed_nifti_needs_a_name_that_says_so(tmp_path):
    nib.Nifti1Image(pixels((4, 5, 6), "int16"), np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    path = (tmp_path / "a.nii.gz").rename(tmp_path / "a.bin")
    with pytest.raises(BadImageError, match=r"a.bin: must end in .nii.gz, .* got '.bin'; rename"):
        find_reader(path).read(path)


def test_a_file_is_opened_once_to_tell_its_format(tmp_path, monkeypatch):
    path = write_raster(tmp_path / "a.png")
    opened = []
    plain = open

    def counting(name, *args, **kwargs):
        opened.append(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr("monai_sr.core.contents.open", counting, raising=False)
    monkeypatch.setattr("monai_sr.core.contents._CALM_NS", 0)
    assert {format_of(path).title for _ in range(5)} == {"a raster"}
    assert claims_image(path)
    assert len(opened) == 1
    dicom_factory.write(path)  # another file of the same name is looked at anew
    assert format_of(path).title == "DICOM"
    assert len(opened) == 2


def test_arrays_and_unknown_origins_have_a_format_too():
    assert format_of_meta(None) is format_of_meta({"affine": np.eye(4)})
    assert format_of_meta(None).title == "an image"
    assert format_of_meta({"sr_format": [FORMATS[0].name] * 2}) is FORMATS[0]  # of a batch


def test_nobody_outside_asks_for_a_format_by_its_name(repo_root):
    """Facts are asked of formats: a new one would be forgotten where its name is compared."""
    names = "|".join(re.escape(each.name) for each in FORMATS)
    asked = re.compile(rf"""["'](?:{names})["']|is_dicom\(|isinstance\([^)]*Reader\)""")
    rooms = (p for p in (repo_root / "monai_sr").rglob("*.py") if "formats" not in p.parts)
    found = {
        str(p.relative_to(repo_root)): asked.findall(p.read_text(encoding="utf-8")) for p in rooms
    }
    assert {path: names for path, names in found.items() if names} == {}
