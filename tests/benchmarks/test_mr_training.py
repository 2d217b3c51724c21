"""Volumes out of repositories: geometry, order, and k-space without the scanner's zeros."""

from __future__ import annotations

import mr_training as script
import nibabel
import numpy as np
import pytest

from tests.clone_factory import commit, write_table
from tests.dicom_factory import located, stored, write
from tests.image_factory import write_nifti

COLUMNS = ("file", "repository", "path", "series", "volume", "slices", "matrix", "version")


def _made(tmp_path, version, **row):
    row = {"file": "a.nii.gz", "repository": "o/n", "version": version, **row}
    table = write_table(tmp_path / "table.csv", COLUMNS, row)
    told = ["--clones", str(tmp_path), "--data", str(tmp_path), "--table", str(table)]
    assert script.main(told) == 0
    return nibabel.load(tmp_path / "mr_more" / "a.nii.gz")


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "o" / "n"
    folder.mkdir(parents=True)
    return folder


def test_one_series_becomes_a_volume_in_its_place(tmp_path, clone):
    pixels = {z: stored((6, 8), seed=z) // 8 for z in range(4)}
    for z, values in pixels.items():
        place = located((10, 20, 3 * z), [1, 0, 0, 0, 1, 0], (0.5, 0.75))
        write(clone / f"{9 - z}.dcm", values, SeriesNumber=2, **place)
        write(clone / f"other{z}.dcm", values[::-1].copy(), SeriesNumber=3, **place)
    image = _made(tmp_path, commit(clone), path=r".*\.dcm", series="2")
    found = np.asarray(image.dataobj)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, np.stack(list(pixels.values())).transpose(2, 1, 0))
    expected = [[-0.75, 0, 0, -10], [0, -0.5, 0, -20], [0, 0, 3, 0], [0, 0, 0, 1]]  # RAS
    np.testing.assert_allclose(image.affine, expected, atol=1e-6)


def test_slices_of_nifti_come_last_and_keep_their_place(tmp_path, clone):
    values = stored((4, 6, 8)) // 8
    write_nifti(clone / "in.nii.gz", values)
    source = nibabel.load(clone / "in.nii.gz")
    image = _made(tmp_path, commit(clone), path=r"in\.nii\.gz", slices="0")
    np.testing.assert_array_equal(np.asarray(image.dataobj), values.transpose(1, 2, 0))
    voxel = np.array([1, 2, 3, 1])  # of the source
    np.testing.assert_allclose(image.affine @ voxel[[1, 2, 0, 3]], source.affine @ voxel)


def test_what_the_scanner_measured_is_left_of_an_enlarged_slice(tmp_path, clone):
    # Few frequencies: enlarged by zeros around k-space, it is these waves on a finer grid.
    def wave(size):
        x = np.arange(size) / size
        rows = 300 + 100 * np.cos(2 * np.pi * 3 * x)
        return (rows[:, None] + 50 * np.sin(2 * np.pi * 5 * x)[None])[..., None].repeat(2, 2)

    write_nifti(clone / "in.nii.gz", wave(64).astype(np.float32))
    image = _made(tmp_path, commit(clone), path=r"in\.nii\.gz", matrix="32x32")
    np.testing.assert_allclose(np.asarray(image.dataobj), wave(32), rtol=1e-4)
    assert image.header.get_zooms()[0] == pytest.approx(
        2 * nibabel.load(clone / "in.nii.gz").header.get_zooms()[0]
    )


def test_a_path_that_no_file_has_is_named(tmp_path, clone):
    (clone / "readme").write_text("nothing")
    version = commit(clone)
    with pytest.raises(SystemExit, match=r"no file missing\.nii"):
        _made(tmp_path, version, path="missing.nii")


def test_a_series_that_no_file_is_of_is_named(tmp_path, clone):
    place = located((0, 0, 0), [1, 0, 0, 0, 1, 0], (1, 1))
    write(clone / "a.dcm", stored((6, 8)), SeriesNumber=2, **place)
    with pytest.raises(SystemExit, match=r"series 3: none of 1 files"):
        _made(tmp_path, commit(clone), path=r".*\.dcm", series="3")
