"""Padding of DICOM images: what counts as none of the patient, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.formats.dicom.reader import DicomReader
from tests import dicom_factory as factory


def _load(path):
    reader = DicomReader()
    return reader.get_data(reader.read(path))


def _signed(path, vr, value, limit=None, bits=16):
    pixels = factory.stored((6, 9), bits, signed=True)
    pixels[:2] = -2000 if bits == 16 else -56
    made = factory.dataset(pixels, bits=bits)
    made.add_new("PixelPaddingValue", vr, value)
    if limit is not None:
        made.add_new("PixelPaddingRangeLimit", vr, limit)
    made.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(("vr", "value", "bits"), [("US", 63536, 16), ("SS", -2000, 16)])
def test_padding_of_signed_pixels_is_a_signed_number(tmp_path, vr, value, bits):
    _, meta = _load(_signed(tmp_path / "a.dcm", vr, value, bits=bits))
    assert meta["sr_nodata"] == -2000
    assert meta["sr_valid"].shape == (0,)


def test_padding_of_signed_bytes_is_a_signed_byte(tmp_path):
    assert _load(_signed(tmp_path / "a.dcm", "US", 200, bits=8))[1]["sr_nodata"] == -56


def test_padding_of_unsigned_pixels_is_an_unsigned_number(tmp_path):
    made = factory.dataset(factory.stored((6, 9), 16), bits=16)
    made.add_new("PixelPaddingValue", "SS", -2000)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert _load(tmp_path / "a.dcm")[1]["sr_nodata"] == 63536


def test_padding_that_no_pixel_can_hold_is_none(tmp_path):
    path = factory.write(tmp_path / "a.dcm", bits=8, modality="SC", PixelPaddingValue=63536)
    _, meta = _load(path)
    assert np.isnan(meta["sr_nodata"])
    assert meta["sr_valid"].shape == (0,)


@pytest.mark.parametrize(("value", "limit"), [(4000, 4095), (4095, 4000)])
def test_the_whole_padding_range_is_masked(tmp_path, value, limit):
    pixels = factory.stored((6, 9))
    pixels[0, :4] = [3999, 4000, 4050, 4095]
    tags = {"PixelPaddingValue": value, "PixelPaddingRangeLimit": limit}
    _, meta = _load(factory.write(tmp_path / "a.dcm", pixels, modality="DX", **tags))
    assert meta["sr_nodata"] == 4000
    assert meta["sr_valid"].dtype == np.uint8
    np.testing.assert_array_equal(meta["sr_valid"][0].T, pixels < 4000)


def test_a_range_of_signed_padding_is_signed(tmp_path):
    path = _signed(tmp_path / "a.dcm", "US", 2**16 - 2048, 2**16 - 2000)
    array, meta = _load(path)
    np.testing.assert_array_equal(meta["sr_valid"], ~((array >= -2048) & (array <= -2000)))


def test_a_range_of_one_value_is_a_nodata_value(tmp_path):
    tags = {"PixelPaddingValue": 7, "PixelPaddingRangeLimit": 7}
    _, meta = _load(factory.write(tmp_path / "a.dcm", **tags))
    assert meta["sr_nodata"] == 7
    assert meta["sr_valid"].shape == (0,)


def test_every_slice_has_its_own_padding(tmp_path):
    paddings = [5, 9, None]
    places = factory.slice_positions(3)
    volume = factory.stored((3, 6, 9))
    volume[:, 0] = 5
    volume[:, 5] = 9
    paths = []
    for i, (pixels, value) in enumerate(zip(volume, paddings, strict=True)):
        tags = {} if value is None else {"PixelPaddingValue": value}
        path = tmp_path / f"{i}"
        paths.append(factory.write(path, pixels, **factory.located(places[i]), **tags))
    _, meta = _load(paths)
    expected = np.stack([volume[0] != 5, volume[1] != 9, np.ones((6, 9), bool)])
    assert np.isnan(meta["sr_nodata"])
    np.testing.assert_array_equal(meta["sr_valid"][0].transpose(2, 1, 0), expected)


def test_one_padding_value_of_all_slices_is_the_nodata_value(tmp_path):
    _, meta = _load(factory.write_series(tmp_path / "s", PixelPaddingValue=5))
    assert meta["sr_nodata"] == 5
    assert meta["sr_valid"].shape == (0,)


def test_colors_have_no_padding(tmp_path):
    pixels = factory.stored((6, 9, 3), 8)
    options = {"photometric": "RGB", "bits": 8, "modality": "US"}
    path = factory.write(
        tmp_path / "a.dcm", pixels, PixelPaddingValue=int(pixels[0, 0, 0]), **options
    )
    _, meta = _load(path)
    assert np.isnan(meta["sr_nodata"])
    assert meta["sr_valid"].shape == (0,)


def test_float_maps_have_padding_of_their_own_kind(tmp_path):
    made = factory.dataset(modality="SC")
    del made.PixelData
    made.BitsAllocated = 32
    pixels = np.linspace(-1, 1, 54, dtype="f4").reshape(6, 9)
    made.FloatPixelData = pixels.tobytes()
    made.FloatPixelPaddingValue, made.FloatPixelPaddingRangeLimit = -1.0, -0.5
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    _, meta = _load(tmp_path / "a.dcm")
    np.testing.assert_array_equal(meta["sr_valid"][0].T, pixels > -0.5)
