"""NIfTI images are read as raw values with geometry, or refused in one line."""

from __future__ import annotations

import gzip
import logging
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImage

from monai_sr.core.errors import BadImageError
from monai_sr.formats.nifti.reader import NiftiReader, channels_first, stored_layout
from tests.image_factory import pixels, write_nifti

RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def load(path):
    reader = NiftiReader()
    return reader.get_data(reader.read(path))


def rgb_array(shape, seed=0):
    result = np.empty(shape, RGB)
    for index, name in enumerate(RGB.names):
        result[name] = pixels(shape, seed=seed + index)
    return result


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("version", [1, 2])
def test_raw_values_are_exact_before_slope_and_offset(tmp_path, dtype, version):
    array = pixels((7, 5, 3), dtype)
    path = write_nifti(tmp_path / "a.nii.gz", array, slope=0.25, inter=-3, version=version)
    values, meta = load(path)
    assert values.shape == (1, 7, 5, 3)
    assert (values[0] == array).all()
    assert meta["sr_dtype"] == dtype


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((7, 5), (1, 7, 5)),
        ((7, 5, 1), (1, 7, 5)),
        ((7, 5, 3), (1, 7, 5, 3)),
        ((7, 5, 3, 2), (2, 7, 5, 3)),
        ((7, 5, 1, 2), (2, 7, 5)),
        ((7, 5, 3, 1, 3), (3, 7, 5, 3)),
        ((7, 5, 3, 2, 3), (6, 7, 5, 3)),
    ],
)
@pytest.mark.parametrize("kind", ["gray", "color"])
def test_trailing_axes_and_colors_become_channels_and_back(shape, expected, kind):
    stored = rgb_array(shape) if kind == "color" else pixels(shape, "int16")
    channels = channels_first(stored)
    factor = 3 if kind == "color" else 1
    assert channels.shape == (factor * expected[0], *expected[1:])
    assert (stored_layout(channels, shape, stored.dtype) == stored).all()


def test_colors_become_three_channels(tmp_path):
    array = rgb_array((7, 5, 3))
    nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / "a.nii")
    values, meta = load(tmp_path / "a.nii")
    assert (values[1] == array["G"]).all()
    assert meta["sr_declared_range"].tolist() == [0, 255]


def test_colors_of_several_times_are_not_taken_for_one_color(tmp_path):
    """Their channels are R0, R1, G0, ...: a network of colors would see two times as one."""
    for shape, is_rgb in (((7, 5, 3), True), ((7, 5, 3, 2), False)):
        nib.Nifti1Image(rgb_array(shape), np.eye(4)).to_filename(tmp_path / "a.nii")
        assert load(tmp_path / "a.nii")[1]["sr_rgb"] == is_rgb


def test_time_points_become_channels(tmp_path):
    array = pixels((7, 5, 3, 4), "int16")
    values, _ = load(write_nifti(tmp_path / "a.nii", array))
    assert (values[2] == array[..., 2]).all()


def test_affine_is_that_of_the_header(tmp_path):
    affine = np.array([[0.9, 0.1, 0, -40], [-0.1, 0.8, 0.3, 20], [0, -0.2, 5, 7], [0, 0, 0, 1]])
    path = write_nifti(tmp_path / "a.nii", affine=affine, qform_code=0)
    _, meta = load(path)
    np.testing.assert_allclose(meta["affine"], affine, atol=1e-5)
    assert (meta["affine"] == nib.load(path).affine).all()


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((1, 1, 5), 2), ((5, 1, 1), 0), ((1, 5, 1), 1), ((1, 1, 1), 2), ((0.87, 0.8700001, 0.87), 2)],
)
def test_slices_lie_along_the_thickest_axis_and_ties_take_the_last(tmp_path, spacing, axis):
    _, meta = load(write_nifti(tmp_path / "a.nii", affine=np.diag([*spacing, 1.0])))
    assert meta["sr_slice_axis"] == axis


def test_single_slice_is_an_image(tmp_path):
    _, meta = load(write_nifti(tmp_path / "a.nii", pixels((7, 5, 1), "int16")))
    assert meta["sr_slice_axis"] == -1
    _, sagittal = load(write_nifti(tmp_path / "b.nii", pixels((1, 7, 5), "int16")))
    assert sagittal["sr_slice_axis"] == 0


def test_big_endian_files_are_read(tmp_path):
    array = pixels((7, 5, 3), "int16")
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.Nifti1Image(array, np.eye(4), header).to_filename(tmp_path / "a.nii")
    values, _ = load(tmp_path / "a.nii")
    assert (values[0] == array).all()


@pytest.mark.parametrize("case", ["codes", "zero", "nan"])
def test_doubtful_geometry_is_reported(tmp_path, caplog, case):
    path = tmp_path / "a.nii"
    codes = (0, 0) if case == "codes" else (1, 1)
    write_nifti(path, sform_code=codes[0], qform_code=codes[1])
    if case != "codes":
        data = bytearray(path.read_bytes())
        data[80:84] = struct.pack("<f", 0.0 if case == "zero" else float("nan"))
        path.write_bytes(data)
    with caplog.at_level(logging.WARNING, logger="monai_sr"):
        values, _ = load(path)
    assert values.shape == (1, 7, 5, 3)
    assert any("guess" in m or "cannot be trusted" in m for m in caplog.messages)


@pytest.mark.parametrize("name", ["chris_t1.nii.gz", "CT_pitch.nii.gz", "pcasl.nii.gz"])
def test_real_files_equal_nibabel(shared_data, name):
    path = shared_data / "nifti" / name
    values, meta = load(path)
    image = nib.load(path)
    raw = np.asarray(image.dataobj.get_unscaled())
    assert (values == (np.moveaxis(raw, -1, 0) if raw.ndim == 4 else raw[None])).all()
    assert (meta["affine"] == image.affine).all()


def test_unmodified_monai_loads_equal_values(tmp_path):
    array = pixels((7, 5, 3), "int16")
    image = LoadImage(reader=NiftiReader)(write_nifti(tmp_path / "a.nii.gz", array))
    assert (image.numpy()[0] == array).all()
    assert image.affine[2, 2] == 5


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = write_nifti(folder / "whole.nii", pixels((40, 30, 20), "int16"))
    packed = write_nifti(folder / "packed.nii.gz", pixels((40, 30, 20), "int16"))
    (folder / "empty.nii").touch()
    (folder / "text.nii").write_text("not a header " * 100)
    (folder / "text.nii.gz").write_text("not a header " * 100)
    (folder / "cut.nii").write_bytes(whole.read_bytes()[:-99])
    (folder / "cut.nii.gz").write_bytes(packed.read_bytes()[:-9999])
    (folder / "head.nii").write_bytes(whole.read_bytes()[:200])
    inner = gzip.decompress(packed.read_bytes())
    (folder / "inner.nii.gz").write_bytes(gzip.compress(inner[:-99]))
    flipped = bytearray(packed.read_bytes())
    flipped[3000] ^= 255
    (folder / "flipped.nii.gz").write_bytes(flipped)
    absurd = bytearray(whole.read_bytes())
    absurd[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    (folder / "absurd.nii").write_bytes(absurd)
    negative = bytearray(whole.read_bytes())
    negative[42:44] = struct.pack("<h", -7)
    (folder / "negative.nii").write_bytes(negative)
    none = bytearray(whole.read_bytes())
    none[42:44] = struct.pack("<h", 0)
    (folder / "none.nii").write_bytes(none)
    nan = pixels((7, 5, 3), "float32")
    nan[:] = np.nan
    nib.AnalyzeImage(pixels((7, 5, 3), "int16"), np.eye(4)).to_filename(folder / "old.hdr")
    again = "copy or download it again"
    return {
        "missing": (folder / "missing.nii", "check the spelling"),
        "empty": (folder / "empty.nii", again),
        "text": (folder / "text.nii", "copy or export it again"),
        "packed text": (folder / "text.nii.gz", "copy or export it again"),
        "cut": (folder / "cut.nii", again),
        "packed cut": (folder / "cut.nii.gz", again),
        "header cut": (folder / "head.nii", "copy or export it again"),
        "inner cut": (folder / "inner.nii.gz", again),
        "flipped": (folder / "flipped.nii.gz", again),
        "absurd": (folder / "absurd.nii", "again|check its header"),
        "negative": (folder / "negative.nii", "again|check its header"),
        "no voxels": (folder / "none.nii", "export it again|copy or"),
        "nan": (write_nifti(folder / "nan.nii", nan), "leave it out"),
        "complex": (
            write_nifti(folder / "c.nii", np.ones((3, 4, 5), np.complex64)),
            "convert to float32",
        ),
        "analyze": (folder / "old.hdr", "nib-convert"),
    }


CASES = (
    "missing", "empty", "text", "packed text", "cut", "packed cut", "header cut", "inner cut",
    "flipped", "absurd", "negative", "no voxels", "nan", "complex", "analyze",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_with_a_remedy(tmp_path, case):
    path, remedy = broken(tmp_path)[case]
    with pytest.raises(BadImageError, match=remedy) as caught:
        NiftiReader().read(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_voxels_that_are_no_numbers_are_holes(tmp_path, caplog):
    values = pixels((7, 5, 3), "float32")
    values[:2] = np.nan
    values[3, 1, 1] = np.inf
    read = NiftiReader()
    found, meta = read.get_data(read.read(write_nifti(tmp_path / "a.nii", values)))
    assert np.array_equal(np.isnan(found[0]), ~np.isfinite(values))
    assert np.array_equal(found[0][4:], values[4:])
    assert np.isnan(meta["sr_nodata"])
    assert "infinite pixels are taken as holes" in caplog.text
