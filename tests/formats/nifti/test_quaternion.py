"""A quaternion of rounded numbers is one, and one that is far too long is none."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from monai_sr.core.errors import BadImageError
from monai_sr.formats.nifti.reader import NiftiReader
from monai_sr.formats.nifti.writer import NiftiWriter
from tests.image_factory import enlarged, pixels

AXIS = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
TURN = 2 * np.outer(AXIS, AXIS) - np.eye(3)  # by half a turn: all of its quaternion is the axis


def write(path, kind, axis, sform_code=0):
    header = kind.header_class()
    header.set_data_dtype(np.int16)
    header.set_xyzt_units("mm", "sec")
    array = pixels((7, 5, 3), "int16")
    matrix = np.eye(4)
    matrix[:3, :3] = TURN
    image = kind(array, matrix, header)
    image.set_sform(matrix, sform_code)
    image.set_qform(matrix, 1)
    image.to_filename(path)
    # nibabel writes none that it does not read.
    file = path.with_name(path.name.replace(".img", ".hdr"))
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(file, "rb") as stream:
        content = bytearray(stream.read())
    for name, value in zip("bcd", axis, strict=True):
        dtype, offset = kind.header_class.template_dtype.fields[f"quatern_{name}"][:2]
        content[offset : offset + dtype.itemsize] = np.array(value, dtype).tobytes()
    with opened(file, "wb") as stream:
        stream.write(content)
    return array


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.nii", nib.Nifti1Image),
        ("a.nii.gz", nib.Nifti2Image),
        ("a.img", nib.Nifti1Pair),
        ("a.hdr.gz", nib.Nifti2Pair),
    ],
)
def test_one_of_rounded_numbers_is_shortened(tmp_path, name, kind):
    array = write(tmp_path / name, kind, AXIS.round(3))
    with pytest.raises(ValueError, match="w2 should be positive"):
        nib.load(tmp_path / name)
    reader = NiftiReader()
    values, meta = reader.get_data(reader.read(tmp_path / name))
    assert (values[0] == array).all()
    np.testing.assert_allclose(meta["affine"][:3, :3], TURN, atol=2e-3)


@pytest.mark.parametrize("sform_code", [0, 1])
def test_the_result_has_a_whole_one(tmp_path, sform_code):
    write(tmp_path / "a.nii", nib.Nifti1Image, AXIS.round(3), sform_code)
    reader, writer = NiftiReader(), NiftiWriter()
    large, meta = enlarged(*reader.get_data(reader.read(tmp_path / "a.nii")), 2)
    writer.set_data_array(large)
    writer.set_metadata(meta)
    writer.write(tmp_path / "a_x2.nii")
    found = nib.load(tmp_path / "a_x2.nii").header.get_qform()
    np.testing.assert_allclose(found[:3, :3] @ np.diag([2, 2, 1]), TURN, atol=2e-3)


def test_one_that_is_far_too_long_is_none(tmp_path):
    write(tmp_path / "a.nii", nib.Nifti1Image, AXIS * 1.2)
    with pytest.raises(BadImageError, match="unknown or damaged header"):
        NiftiReader().read(tmp_path / "a.nii")
