"""Compressed DICOM results hold the very values of uncompressed ones, by independent decoders."""

from __future__ import annotations

import logging

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from monai_sr.core.errors import OptionError
from monai_sr.formats.dicom.writer import DicomWriter
from tests import dicom_factory as factory
from tests.dicom_factory import enlarge

SYNTAXES = {
    "rle": "1.2.840.10008.1.2.5",
    "jpegls": "1.2.840.10008.1.2.4.80",
    "jpeg2000": "1.2.840.10008.1.2.4.90",
}


def _gdcm_pixels(path, dtype):
    """Decode with a library that took no part in the encoding."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    return np.frombuffer(reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape"), dtype)


@pytest.mark.parametrize("kind", SYNTAXES)
@pytest.mark.parametrize(
    ("bits", "signed", "frames"), [(8, False, 1), (12, False, 1), (16, True, 1), (16, False, 3)]
)
def test_gray_values_survive_exactly(tmp_path, kind, bits, signed, frames):
    shape = (40, 36) if frames == 1 else (frames, 40, 36)
    pixels = factory.stored(shape, bits, signed)
    source = factory.write(tmp_path / "a.dcm", pixels, bits=bits)
    large = enlarge(source, tmp_path / "o.dcm", 2, options={"compression": kind})
    assert pydicom.dcmread(tmp_path / "o.dcm").file_meta.TransferSyntaxUID == SYNTAXES[kind]
    expected = large[0].T if frames == 1 else large[0].transpose(2, 1, 0)
    np.testing.assert_array_equal(
        _gdcm_pixels(tmp_path / "o.dcm", pixels.dtype), expected.ravel().astype(pixels.dtype)
    )


@pytest.mark.parametrize("kind", SYNTAXES)
def test_colors_survive_exactly(tmp_path, kind):
    source = get_testdata_file("examples_rgb_color.dcm")
    large = enlarge(source, tmp_path / "o.dcm", 2, options={"compression": kind})
    new = pydicom.dcmread(tmp_path / "o.dcm")
    np.testing.assert_array_equal(new.pixel_array, large.transpose(2, 1, 0))
    # PS3.5 8.2.4: lossless JPEG 2000 of colors is declared by its own transform.
    assert new.PhotometricInterpretation == ("YBR_RCT" if kind == "jpeg2000" else "RGB")


def test_compression_is_another_encoding_of_the_same_object(tmp_path):
    source = get_testdata_file("CT_small.dcm")
    for kind in ("none", "rle"):
        enlarge(source, tmp_path / f"{kind}.dcm", 2, options={"compression": kind})
    plain, packed = (pydicom.dcmread(tmp_path / f"{k}.dcm") for k in ("none", "rle"))
    assert plain.SOPInstanceUID == packed.SOPInstanceUID
    assert (tmp_path / "rle.dcm").stat().st_size < (tmp_path / "none.dcm").stat().st_size
    for dataset in (plain, packed):
        del dataset.PixelData
    assert plain == packed


def test_the_history_of_lossy_compression_stays(tmp_path):
    source = get_testdata_file("SC_rgb_jpeg_dcmtk.dcm")
    enlarge(source, tmp_path / "o.dcm", 2, options={"compression": "jpeg2000"})
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert (new.LossyImageCompression, new.LossyImageCompressionMethod) == ("01", "ISO_10918_1")


@pytest.mark.parametrize("kind", SYNTAXES)
def test_what_an_encoder_cannot_hold_stays_uncompressed(tmp_path, kind, caplog):
    pixels = factory.stored((40, 36), 32)
    source = factory.write(tmp_path / "a.dcm", pixels, bits=32)
    with caplog.at_level(logging.WARNING, logger="monai_sr"):
        enlarge(source, tmp_path / "o.dcm", 2, options={"compression": kind})
    assert "left uncompressed" in caplog.text
    written = pydicom.dcmread(tmp_path / "o.dcm").pixel_array
    np.testing.assert_array_equal(written, pixels.repeat(2, 0).repeat(2, 1))


def test_an_unknown_compression_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match="jpeg2000"):
        DicomWriter(compression="jpeg200")
