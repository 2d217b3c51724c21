"""A header that cannot be believed is named, with what was guessed and what to do."""

from __future__ import annotations

import logging
import struct

import nibabel as nib
import numpy as np
import pytest

from monai_sr.formats.nifti.reader import NiftiReader
from monai_sr.geometry.target_grid import scaled_affine
from tests.image_factory import pixels, write_nifti

PIXDIM_1, XYZT_UNITS = 80, 123  # byte offsets in a NIfTI-1 header
OBLIQUE = np.array([[1.5, -0.4, 0.3, -70], [0.5, 1.4, -0.2, 12], [-0.3, 0.3, 4.9, 5], [0, 0, 0, 1]])


def read(path, caplog):
    caplog.clear()
    reader = NiftiReader()
    with caplog.at_level(logging.WARNING, logger="monai_sr"):
        meta = reader.get_data(reader.read(path))[1]
    # nibabel has remarks of its own.
    own = [r.getMessage() for r in caplog.records if r.name.startswith("monai_sr")]
    assert all(message.startswith(f"{path}: ") for message in own)
    return meta, own


def patched(path, offset, form, value):
    data = bytearray(path.read_bytes())
    data[offset : offset + struct.calcsize(form)] = struct.pack(form, value)
    path.write_bytes(data)
    return path


def two_forms(path, sform, qform, codes=(1, 1)):
    header = nib.Nifti1Header()
    header.set_data_shape((7, 5, 3))
    header.set_data_dtype("i2")
    header.set_xyzt_units("mm")
    header.set_qform(qform, codes[1])
    header.set_sform(sform, codes[0])
    nib.Nifti1Image(pixels((7, 5, 3), "int16"), None, header).to_filename(path)
    return path


@pytest.mark.parametrize("forms", [(1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize("affine", [np.diag([0.9, 0.8, 5.0, 1.0]), OBLIQUE])
def test_a_plausible_header_is_not_remarked_upon(tmp_path, caplog, affine, forms):
    # qform holds rotations only: without the shear.
    affine = nib.Nifti1Image(np.zeros((7, 5, 3), "i2"), affine).get_qform()
    path = write_nifti(tmp_path / "a.nii", affine=affine, sform_code=forms[0], qform_code=forms[1])
    meta, messages = read(path, caplog)
    assert messages == []
    assert meta["sr_unit_mm"] == 1


@pytest.mark.parametrize("value", [0.0, -2.0, float("nan"), float("inf")])
@pytest.mark.parametrize("sform_code", [0, 1])
def test_impossible_voxel_sizes_are_reported_and_trusted_by_sform_alone(
    tmp_path, caplog, value, sform_code
):
    path = write_nifti(tmp_path / "a.nii", sform_code=sform_code)
    meta, messages = read(patched(path, PIXDIM_1, "<f", value), caplog)
    assert "lengths cannot be trusted, correct pixdim" in messages[0]
    assert np.isfinite(meta["sr_unit_mm"]) == (sform_code == 1)


@pytest.mark.parametrize(
    ("code", "unit"), [(1, 1000.0), (2, 1.0), (3, 0.001), (0, 1.0), (6, 1.0), (2 + 8, 1.0)]
)
def test_units_are_read_and_mm_assumed_where_there_are_none(tmp_path, caplog, code, unit):
    affine = np.diag([0.9, 0.8, 5.0, 1.0]) / np.array([unit, unit, unit, 1])
    path = write_nifti(tmp_path / "a.nii", affine=affine, xyzt_units=code)
    meta, messages = read(path, caplog)
    assert meta["sr_unit_mm"] == unit
    is_known = code & 7 in (1, 2, 3)
    assert len(messages) == (0 if is_known else 1)
    assert is_known or "mm are assumed; set xyzt_units" in messages[0]


@pytest.mark.parametrize(("step", "code"), [(500.0, 2), (1e-7, 2), (0.9, 1)])
def test_absurd_spacing_is_reported_and_not_trusted(tmp_path, caplog, step, code):
    affine = np.diag([step, 1.0, 1.0, 1.0])
    meta, messages = read(write_nifti(tmp_path / "a.nii", affine=affine, xyzt_units=code), caplog)
    assert "are not plausible; correct pixdim and affine, or xyzt_units" in messages[-1]
    assert np.isnan(meta["sr_unit_mm"])


def test_an_affine_that_cannot_be_inverted_is_reported_and_not_trusted(tmp_path, caplog):
    flat = np.diag([0.0, 0.8, 5.0, 1.0])
    path = two_forms(tmp_path / "a.nii", flat, np.eye(4), (1, 0))
    meta, messages = read(path, caplog)
    assert "cannot be inverted; voxels of 1 unit are assumed, correct its sform" in messages[0]
    assert np.isnan(meta["sr_unit_mm"])
    assert np.array_equal(meta["affine"], np.eye(4))


def test_forms_of_one_space_that_disagree_are_reported(tmp_path, caplog):
    moved = OBLIQUE.copy()
    moved[:3, 3] += (0, 3, 4)
    pure = nib.Nifti1Image(np.zeros((7, 5, 3), "i2"), OBLIQUE).get_qform()
    moved[:3, :3] = pure[:3, :3]
    _, messages = read(two_forms(tmp_path / "a.nii", moved, pure), caplog)
    (message,) = messages
    assert "sform and qform differ by up to 5 units; sform is used, copy one" in message


def test_forms_of_two_spaces_may_differ_but_not_mirror_each_other(tmp_path, caplog):
    turned = scaled_affine(np.diag([2.0, 2.0, 4.0, 1.0]), (2, 2, 2))
    assert read(two_forms(tmp_path / "a.nii", turned, np.eye(4), (4, 1)), caplog)[1] == []
    mirrored = turned @ np.diag([-1.0, 1.0, 1.0, 1.0])
    _, messages = read(two_forms(tmp_path / "b.nii", mirrored, np.eye(4), (4, 1)), caplog)
    (message,) = messages
    assert "sform and qform mirror each other; sform is used" in message


def test_pixdim_that_sform_contradicts_is_reported(tmp_path, caplog):
    path = write_nifti(tmp_path / "a.nii", qform_code=0)
    _, messages = read(patched(path, PIXDIM_1, "<f", 1.8), caplog)
    (message,) = messages
    assert "sform has voxels of 0.9 x 0.8 x 5, pixdim says 1.8 x 0.8 x 5; sform is used" in message


def test_forms_of_an_image_may_differ_where_it_has_no_voxels(tmp_path, caplog):
    path = write_nifti(tmp_path / "a.nii", pixels((7, 5), "int16"), affine=np.eye(4))
    image = nib.load(path)
    image.set_sform(np.diag([1, 1, 3, 1]), 1)
    image.to_filename(tmp_path / "b.nii")
    assert read(tmp_path / "b.nii", caplog)[1] == []


@pytest.mark.parametrize(("share", "count"), [(1.009, 0), (1.012, 1)])
def test_pixdim_may_differ_by_a_hundredth(tmp_path, caplog, share, count):
    path = write_nifti(tmp_path / "a.nii", qform_code=0)
    assert len(read(patched(path, PIXDIM_1, "<f", 0.9 * share), caplog)[1]) == count


def test_headers_of_real_scans_are_believed(shared_data, caplog):
    for file in sorted((shared_data / "mr").glob("*.nii.gz")):
        meta, messages = read(file, caplog)
        assert [m for m in messages if "no unit of length" not in m] == []
        assert meta["sr_unit_mm"] == 1
