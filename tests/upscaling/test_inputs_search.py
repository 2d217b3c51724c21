"""Folders, zips and DICOMDIRs give their images; what is no image is counted, not failed."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import Compose
from pydicom.fileset import FileSet

from monai_sr.core.errors import BadImageError
from monai_sr.formats.dicom.reader import DicomReader
from monai_sr.transforms import LoadImageSRd
from monai_sr.upscaling import FileDataset
from monai_sr.upscaling.inputs import find_inputs
from tests import dicom_factory
from tests.formats.test_registry import KO, PR, SR, write_object
from tests.image_factory import pixels, write_nifti, write_raster

DATES = {"StudyDate": "20200101", "StudyTime": "120000", "StudyID": "1", "SeriesNumber": 1}


def found(data, out):
    return find_inputs(data, Path(out), (), True)


def names(inputs, root):
    return {os.path.relpath(name, root): len(files) for name, files in inputs.files.items()}


def zipped(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def study(tmp_path):
    """Write a series of four slices beside a report, a presentation state and key objects."""
    folder = dicom_factory.write_series(tmp_path / "study", **DATES)
    for number, kind in enumerate((SR, PR, KO)):
        write_object(folder / f"other{number}", kind)
    return folder


def test_objects_without_pixels_neither_fail_nor_change_the_name_of_a_series(study, tmp_path):
    inputs = found(study, tmp_path / "out")
    assert names(inputs, tmp_path) == {"study": 4}
    assert inputs.no_images == 3


def test_copies_of_an_object_run_once_and_are_said(tmp_path, caplog):
    given = dicom_factory.write(tmp_path / "in" / "1" / "chest.dcm", modality="DX")
    for copy in ("1/chest (1).dcm", "2/chest.dcm"):
        (tmp_path / "in" / copy).parent.mkdir(exist_ok=True)
        shutil.copy(given, tmp_path / "in" / copy)
    dicom_factory.write(tmp_path / "in" / "2" / "other.dcm", modality="CR")
    inputs = found(tmp_path / "in", tmp_path / "out")
    assert names(inputs, tmp_path / "in") == {"1/chest.dcm": 1, "2/other.dcm": 1}
    assert inputs.no_images == 0
    (said,) = caplog.messages
    assert said == (
        f"{given.parent}: 2 files are copies of others and were left out "
        f"(chest (1).dcm, {tmp_path / 'in' / '2' / 'chest.dcm'})"
    )


def test_one_that_is_named_itself_fails(study, tmp_path):
    (item,) = FileDataset(study / "other0", Compose([LoadImageSRd("image")]), tmp_path / "out", 4)
    assert "other0: must hold" in item["error"] or "pixel" in item["error"]


def test_photos_beside_other_files(tmp_path):
    root = tmp_path / "in"
    write_raster((root / "a.png").parent.mkdir() or root / "a.png")
    (root / "a.png").rename(root / "photo")  # an image without a suffix
    write_raster(root / "b.png")
    for name in ("README", "notes.md", "a.json", "Thumbs.db"):
        (root / name).write_text("text")
    (root / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    inputs = found(root, tmp_path / "out")
    assert names(inputs, root) == {"b.png": 1, "cut.jpg": 1, "photo": 1}
    assert inputs.no_images == 4
    assert names(found(f"{root}/*", tmp_path / "out"), root) == names(inputs, root)


def test_an_output_folder_may_hold_the_input(study, tmp_path):
    assert names(found(study, tmp_path), tmp_path) == {"study": 4}
    path = zipped(study, tmp_path / "study.zip")
    temporary = Path(tempfile.gettempdir())  # where zips are unpacked
    assert names(found(path, temporary), tmp_path) == {"study.zip": 4}


def test_text_that_is_no_list_is_refused_as_a_whole(tmp_path):
    metadata = tmp_path / "LC08_MTL.txt"
    metadata.write_text('GROUP = CONTENTS\n  FILE_NAME_BAND_1 = "LC08_B1.TIF"\nEND\n')
    with pytest.raises(BadImageError, match=r"LC08_MTL\.txt: must list .* 3 lines that name none"):
        found(metadata, tmp_path / "out")


def test_a_folder_without_any_image_says_so(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "README").write_text("text")
    with pytest.raises(BadImageError, match="holds no file to enlarge, got 1 other files"):
        found(tmp_path / "in", tmp_path / "out")


def test_parts_of_an_image_are_no_inputs_and_no_other_files(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    nib.Nifti1Pair(pixels((4, 5, 6), "int16"), np.eye(4)).to_filename(root / "pair.img")
    write_raster(root / "envi.dat", driver="ENVI")
    write_raster(root / "a.tif")
    for name in ("a.tif.aux.xml", "a.tfw", "a.prj"):
        (root / name).write_text("<PAMDataset/>" if name.endswith("xml") else "")
    inputs = found(root, tmp_path / "out")
    assert names(inputs, root) == {"a.tif": 1, "envi.dat": 1, "pair.hdr": 1}
    assert inputs.no_images == 0
    assert names(found(root / "pair.img", tmp_path / "out"), root) == {"pair.hdr": 1}


def test_a_zip_of_a_study_is_the_study(study, tmp_path):
    path = zipped(study, tmp_path / "study.zip")
    inputs = found(path, tmp_path / "out")
    assert names(inputs, tmp_path) == {"study.zip": 4}
    assert (inputs.root, inputs.no_images) == (tmp_path, 3)
    assert [f.read_bytes() for f in inputs.files[path]] == [
        f.read_bytes() for f in sorted(study.glob("im*"))
    ]
    data = FileDataset(path, Compose([LoadImageSRd("image")]), tmp_path / "out", 4)
    (item,) = data
    assert item["source"] == str(path)
    assert Path(item["output"]) == tmp_path / "out" / "study_x4"
    assert item["image"].shape == (1, 9, 6, 4)
    place = Path(data.data[0]["image"][0])
    del data, item
    assert not place.exists()


def test_members_of_zips_go_by_the_zip_and_their_names(tmp_path):
    root, inside = tmp_path / "in", tmp_path / "inside"
    root.mkdir()
    (inside / "sub").mkdir(parents=True)
    write_raster(inside / "a.png")
    write_nifti(inside / "sub" / "b.nii.gz")
    (inside / "README").write_text("text")
    zipped(inside, root / "some.zip")
    zipped(inside / "sub", root / "other.zip")
    shutil.copy(inside / "a.png", root / "a.png")
    (root / "broken.zip").write_bytes(b"PK\x03\x04")
    (inside / "code").mkdir()
    (inside / "code" / "a.py").write_text("pass\n")
    (inside / "code" / "b.py").write_text("pass\n")
    zipped(inside / "code", root / "code.zip")
    data = FileDataset(root, Compose([LoadImageSRd("image")]), tmp_path / "out", 4)
    samples = {os.path.relpath(s["source"], root): s for s in (data[i] for i in range(len(data)))}
    results = {
        k: os.path.relpath(s["output"], tmp_path / "out")
        for k, s in samples.items()
        if "output" in s
    }
    assert results == {
        "a.png": "a_x4.png",
        "some.zip/a.png": "some.zip/a_x4.png",
        "some.zip/sub/b.nii.gz": "some.zip/sub/b_x4.nii.gz",
        "other.zip/b.nii.gz": "other.zip/b_x4.nii.gz",
    }
    assert samples["some.zip/a.png"]["origin"] == str(root / "some.zip" / "a.png")
    assert "must be a complete zip" in samples["broken.zip"]["error"]
    assert data.no_images == 2  # README and all of code.zip


def test_messages_name_members_not_the_temporary_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.png", b"text")
    (item,) = FileDataset(
        tmp_path / "a.zip", lambda s: LoadImageSRd("image")(s), tmp_path / "out", 4
    )
    assert item["error"].startswith(f"{tmp_path}/a.zip/b.png: must be an image")
    assert "unpacked" not in item["error"]


def test_a_zip_that_cannot_be_used_is_an_error_where_it_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadImageError, match=r"a\.zip: must be a complete zip"):
        found(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("is_series", [True, False])
def test_a_dicomdir_stands_for_what_it_lists(tmp_path, is_series):
    if is_series:
        source = dicom_factory.write_series(tmp_path / "source", **DATES)
    else:
        source = tmp_path / "source"
        for number in range(2):
            tags = {**DATES, "SeriesNumber": number, "InstanceNumber": 1}
            dicom_factory.write(
                source / f"{number}", dicom_factory.stored((1, 6, 9)), modality="CR", **tags
            )
    files = FileSet()
    for file in sorted(source.iterdir()):
        files.add(file)
    files.write(tmp_path / "disc")
    files._stage["t"].cleanup()
    dicom_factory.write(tmp_path / "disc" / "unlisted", dicom_factory.stored((1, 6, 9)))
    (tmp_path / "disc" / "README").write_text("text")
    inputs = found(tmp_path / "disc" / "DICOMDIR", tmp_path / "out")
    assert sorted(map(len, inputs.files.values())) == ([4] if is_series else [1, 1])
    assert inputs.root == tmp_path / "disc"
    assert inputs.no_images == 0
    assert all("unlisted" not in str(f) for group in inputs.files.values() for f in group)


def _spread(folder, heights, shift=(0, 0, 0), **tags):
    """Write slices at given numbers of the stack, in subfolders by name."""
    places = dicom_factory.slice_positions(24) + np.arange(24)[:, None] * shift
    for name, numbers in heights.items():
        for number in numbers:
            place = dicom_factory.located(places[number].round(6))
            file = folder / name / f"IM{number:03d}"
            dicom_factory.write(file, InstanceNumber=number, **{**place, **tags})
    return folder


def test_a_series_in_several_folders_of_a_medium_is_one(tmp_path):
    """Some media hold few files in each folder, and a result in two series would be none."""
    disc = _spread(tmp_path / "disc", {"DIR000": range(4), "DIR001": range(4, 7)})
    inputs = found(disc, tmp_path / "out")
    assert names(inputs, tmp_path) == {"disc": 7}
    assert inputs.root == tmp_path
    _spread(disc, {"DIR001": range(3)}, SeriesInstanceUID="1.2.3")
    assert names(found(disc, tmp_path / "out"), disc) == {".": 7, "DIR001": 3}


@pytest.mark.parametrize(("count", "is_one"), [(24, True), (16, False)])
def test_a_series_of_a_medium_may_lack_a_slice(tmp_path, count, is_one, caplog):
    """One file of an old disc that cannot be read must not make two results of a series."""
    heights = {"DIR000": [*range(8), *range(9, 12)], "DIR001": range(12, count)}
    disc = _spread(tmp_path / "disc", heights)
    shown = names(found(disc, tmp_path / "out"), disc)
    assert shown == ({".": 23} if is_one else {"DIR000": 11, "DIR001": 4})
    if is_one:
        DicomReader().read([str(file) for file in sorted(disc.glob("*/*"))])
        assert "1 slices are missing between others" in caplog.text


def test_a_series_under_a_gantry_tilt_with_a_localizer_is_one(tmp_path):
    heights = {"DIR000": range(4), "DIR001": range(4, 7)}
    disc = _spread(tmp_path / "disc", heights, shift=(0.8, 0.6, 0))
    for number in range(2):
        place = dicom_factory.located((0, number * 9, 0), (1, 0, 0, 0, 0, -1))
        dicom_factory.write(disc / "DIR000" / f"LOC{number}", **place)
    assert names(found(disc, tmp_path / "out"), disc) == {".": 7, "DIR000": 2}


def test_time_points_that_folders_cut_unevenly_stay_apart(tmp_path):
    """Joined, one would have a slice more than the other, and that in a third volume."""
    heights = {"a": range(2), "b": range(2, 4), "c": range(4, 6)}
    _spread(tmp_path, heights, FrameReferenceTime=1)
    for file in tmp_path.glob("[ab]/*"):
        shutil.copy(file, file.with_name(f"T{file.name}"))
    _spread(tmp_path, {"a": heights["a"], "b": heights["b"]}, FrameReferenceTime=2)
    assert set(names(found(tmp_path, tmp_path / "out"), tmp_path).values()) == {2}


def test_positions_of_few_decimals_are_even(tmp_path):
    for number in range(40):
        place = dicom_factory.located((0, 0, round(number * 0.625, 1)), dicom_factory.AXIAL)
        dicom_factory.write(tmp_path / "ab"[number // 20] / f"IM{number:02d}", **place)
    assert names(found(tmp_path, tmp_path / "out"), tmp_path) == {".": 40}


def test_images_side_by_side_in_one_plane_are_no_stack(tmp_path):
    for number in range(4):
        place = dicom_factory.located((number * 9, 0, 0), dicom_factory.AXIAL)
        dicom_factory.write(tmp_path / "ab"[number // 2] / f"IM{number}", **place)
    assert set(names(found(tmp_path, tmp_path / "out"), tmp_path).values()) == {2}


@pytest.mark.parametrize(
    "heights",
    [
        {"a": range(4), "b": range(4)},
        {"a": range(4), "b": range(5, 9)},
        {"a": [0, 1], "b": [4, 5]},
        {"a": [0], "b": [1]},
    ],
)
def test_folders_whose_slices_are_no_stack_together_stay_apart(tmp_path, heights):
    folder = _spread(tmp_path, {"a": heights["a"]})
    _spread(tmp_path, {"b": heights["b"]}, AcquisitionTime="120000")
    shown = names(found(folder, tmp_path / "out"), tmp_path)
    assert sorted(shown.values()) == sorted(map(len, heights.values()))


def test_a_folder_is_not_looked_through_for_each_header(tmp_path, monkeypatch):
    root = tmp_path / "in"
    root.mkdir()
    looks, look = [], Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: looks.append(self) or look(self))
    counts = []
    for number in range(6):
        write_raster(root / f"{number}.dat", driver="ENVI")
        looks.clear()
        assert len(found(root, tmp_path / "out").files) == number + 1
        counts.append(len(looks))
    assert len(set(counts)) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    write_raster(tmp_path / "b.png")
    with pytest.raises(BadImageError, match=r"a\.png: must be a file or folder, got a pipe"):
        find_inputs(tmp_path / "a.png", tmp_path / "out", (), True)
    assert list(find_inputs(tmp_path, tmp_path / "out", (), True).files) == [tmp_path / "b.png"]
