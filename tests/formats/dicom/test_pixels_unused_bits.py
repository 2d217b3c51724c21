"""What lies above BitsStored: old overlays, signs of either kind, and values that do not fit."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from monai_sr.cli.main import main
from monai_sr.core.errors import BadImageError
from monai_sr.formats.dicom.reader import DicomReader
from tests import dicom_factory as factory

OVERLAY = ((0x10, "US", 6), (0x11, "US", 9), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
           (0x100, "US", 16), (0x102, "US", 15))  # fmt: skip


def _read(path):
    reader = DicomReader()
    return reader.get_data(reader.read(path))[0][0].T


def test_values_beyond_bits_stored_are_refused(tmp_path):
    """The decoder keeps the stored bits alone: 5000 would come out as 904."""
    unsigned = np.full((6, 9), 5000, np.uint16)
    for pixels in (unsigned, unsigned.astype(np.int16), -unsigned.astype(np.int16)):
        path = factory.write(tmp_path / "a.dcm", pixels)
        with pytest.raises(BadImageError, match=r"BitsStored of 12.*correct BitsStored and High"):
            _read(path)


def test_values_that_fill_more_than_bits_stored_are_read_and_written_so(tmp_path, caplog):
    pixels = np.linspace(40, 54_000, 24 * 30).round().astype(np.uint16).reshape(24, 30)
    path = factory.write(tmp_path / "a.dcm", pixels)
    np.testing.assert_array_equal(_read(path), pixels)
    assert "values fill all 16 bits" in caplog.text
    options = ["--system", "nearest", "--scale", "2", "-o", str(tmp_path / "out")]
    assert main(["upscale", str(path), *options]) == 0
    result = dcmread(tmp_path / "out" / "a_x2.dcm")
    assert (result.BitsStored, result.HighBit) == (16, 15)
    np.testing.assert_array_equal(result.pixel_array[::2, ::2], pixels)
    pixels[pixels > 30_000] = 60_000  # a gap
    with pytest.raises(BadImageError, match="BitsStored of 12"):
        _read(factory.write(path, pixels))


def test_a_sign_above_the_stored_bits_may_be_absent_and_that_is_told(tmp_path, caplog):
    pixels = factory.stored((6, 9), signed=True)
    path = factory.write(tmp_path / "a.dcm", pixels)
    np.testing.assert_array_equal(_read(path), pixels)
    assert caplog.text == ""
    np.testing.assert_array_equal(_read(factory.write(path, pixels & 0x0FFF)), pixels)
    assert f"{(pixels < 0).sum()} values are below zero by BitsStored alone" in caplog.text


@pytest.mark.parametrize("least", [-1000, 1000])
def test_jpeg_2000_below_zero_beside_an_unsigned_header_is_refused(tmp_path, least):
    """The decoder would wrap it: -1000 would come out as 64536."""
    pixels = np.linspace(least, 3000, 64 * 64).astype(np.int16).reshape(64, 64)
    made = factory.dataset(pixels, bits=16)
    made.compress(JPEG2000Lossless)
    made.PixelRepresentation = 0
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    if least < 0:
        with pytest.raises(BadImageError, match=r"a\.dcm: .*below zero; set it to 1"):
            _read(tmp_path / "a.dcm")
        made.PixelRepresentation = 1
        made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(_read(tmp_path / "a.dcm"), pixels)


def test_declared_overlay_is_no_part_of_the_values(tmp_path):
    pixels = factory.stored((6, 9))
    drawn = pixels | np.uint16(1 << 15)
    made = factory.dataset(drawn)
    made.save_as(tmp_path / "undeclared.dcm", enforce_file_format=True)
    for element, kind, value in OVERLAY:
        made.add_new((0x6000, element), kind, value)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(_read(tmp_path / "a.dcm"), pixels)
    with pytest.raises(BadImageError, match="clear the bits above"):
        _read(tmp_path / "undeclared.dcm")
