"""What DicomReader says to files it cannot use: one line that names the file and the remedy."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, JPEG2000Lossless, JPEGLSLossless, RLELossless

from monai_sr.core.errors import BadImageError, user_message
from monai_sr.formats import find_series
from monai_sr.formats.dicom.reader import DicomReader
from tests import dicom_factory as factory


def _load(path):
    reader = DicomReader()
    return reader.get_data(reader.read(path))


def _truncate(source, target, keep):
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * keep)])
    return target


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
@pytest.mark.parametrize(
    "name",
    ["MR_small_implicit.dcm", "SC_rgb_rle.dcm", "JPEG2000.dcm", "image_dfl.dcm", "JPGExtended.dcm"],
)
def test_truncated_files_are_refused(tmp_path, name, keep):
    cut = _truncate(Path(get_testdata_file(name)), tmp_path / name, keep)
    with pytest.raises(BadImageError, match=r"copy (it|the file) again"):
        _load(cut)


def test_a_sequence_without_end_is_a_damaged_header(tmp_path):
    """Of which pydicom says that the system could not read."""
    whole = Path(get_testdata_file("MR_small_implicit.dcm")).read_bytes()
    start = bytes.fromhex("0800 1211 ffffffff feff00e0 00000000")  # ReferencedSeriesSequence
    (tmp_path / "a.dcm").write_bytes(whole[: whole.index(bytes.fromhex("0800 2000"), 132)] + start)
    with pytest.raises(BadImageError, match=r"a\.dcm: .*damaged header; copy it again"):
        _load(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rtplan.dcm", "RT Plan Storage"),
        ("reportsi.dcm", "Basic Text SR Storage"),
        ("waveform_ecg.dcm", "12-lead ECG Waveform Storage"),
        ("rtstruct.dcm", "RT Structure Set Storage"),
    ],
)
def test_objects_without_pixels_are_named_in_words(name, words):
    with pytest.raises(BadImageError, match=f"{words}.*remove it from the input"):
        _load(get_testdata_file(name))


@pytest.mark.parametrize(
    ("tags", "remedy"),
    [
        ({"Rows": 0}, "0 x 9 x 1; export the image again"),
        ({"BitsAllocated": 1}, "leave --kind out, or add --kind label"),
        ({"PhotometricInterpretation": "CMYK"}, "convert it to RGB"),
        ({"HighBit": 15}, "convert it to current DICOM"),
        ({"Rows": 7}, "copy the file again"),
        (
            {
                "photometric": "RGB",
                "PhotometricInterpretation": "YBR_ICT",
                "bits": 8,
                "pixels": factory.stored((6, 9, 3), 8),
                "modality": "US",
            },
            "got YBR_ICT; convert it to uncompressed RGB",
        ),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6"}, "convert it to TIFF"),
    ],
)
def test_unusable_pixel_descriptions_are_refused(tmp_path, tags, remedy):
    path = factory.write(tmp_path / "a.dcm", **tags)
    with pytest.raises(BadImageError, match=remedy) as caught:
        _load(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert not any(secret in text for secret in factory.SECRETS)


@pytest.mark.parametrize("presentation", ["COLOR", "MIXED"])
def test_gray_values_with_a_palette_for_some_are_refused(tmp_path, presentation):
    path = factory.write(tmp_path / "a.dcm", modality="MR", PixelPresentation=presentation)
    with pytest.raises(BadImageError, match=r"palette for some of them.*export it as RGB"):
        _load(path)
    codes = DicomReader(kind="label")
    assert codes.get_data(codes.read(path))[0].shape == (1, 9, 6)


@pytest.mark.parametrize("declared", [None, 2])
def test_more_frames_than_declared_are_refused(tmp_path, declared):
    made = factory.dataset(factory.stored((3, 6, 9)))
    del made.NumberOfFrames
    if declared is not None:
        made.NumberOfFrames = declared
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(BadImageError, match=f"got {declared or 1} for 3 frames; set it"):
        _load(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("syntax", "plugin"),
    [(RLELossless, "pylibjpeg"), (JPEG2000Lossless, "pylibjpeg"), (JPEGLSLossless, "pyjpegls")],
)
def test_fewer_compressed_frames_than_declared_are_refused(tmp_path, syntax, plugin):
    made = factory.dataset(factory.stored((3, 64, 64)))
    made.compress(syntax, encoding_plugin=plugin)
    made.NumberOfFrames = 5
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(BadImageError, match=r"match Rows, Columns and NumberOfFrames"):
        _load(tmp_path / "a.dcm")


def test_header_without_pixels_is_refused(tmp_path):
    made = factory.dataset()
    del made.PixelData
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(BadImageError, match=r"CT Image Storage.*truncated or was stripped"):
        _load(tmp_path / "a.dcm")


def test_pixels_that_are_no_numbers_are_holes(tmp_path, caplog):
    made = factory.dataset(modality="SC")
    del made.PixelData
    made.BitsAllocated = 32
    values = np.arange(54, dtype="f4").reshape(6, 9)
    values[0, :2] = np.nan, -np.inf
    made.FloatPixelData = values.tobytes()
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    pixels, _ = _load(tmp_path / "a.dcm")
    assert np.isnan(pixels[0, :2, 0]).all()
    assert np.array_equal(pixels[0].T[1:], values[1:])
    assert "infinite pixels are taken as holes" in caplog.text


def test_compressions_without_decoder_are_named(tmp_path):
    made = factory.dataset()
    made.file_meta.TransferSyntaxUID = MPEG2MPML
    made.PixelData = encapsulate([b"\0" * 64])
    made["PixelData"].is_undefined_length = True
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(BadImageError, match=r"MPEG2.*convert it to uncompressed"):
        _load(tmp_path / "a.dcm")


def test_missing_empty_and_other_files_are_refused(tmp_path):
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "text.dcm").write_text("hello" * 100)
    with pytest.raises(BadImageError, match=r"no such file; check the path"):
        _load(tmp_path / "none.dcm")
    with pytest.raises(BadImageError, match=r"0 bytes; copy it again"):
        _load(tmp_path / "empty.dcm")
    with pytest.raises(BadImageError, match="remove it from the input"):
        _load(tmp_path / "text.dcm")
    with pytest.raises(BadImageError, match="check the path"):
        find_series(tmp_path / "none")
    with pytest.raises(BadImageError, match="got 0 images; give one file"):
        _load(tmp_path)


def test_slices_of_different_sizes_are_refused(tmp_path):
    factory.write_series(tmp_path / "s", factory.stored((2, 6, 9)))
    place = factory.located(factory.slice_positions(3)[2])
    factory.write(tmp_path / "s" / "z", factory.stored((7, 9)), **place)
    with pytest.raises(BadImageError, match=r"7 x 9 .*give the sizes separately"):
        _load(sorted((tmp_path / "s").iterdir()))


def test_slices_that_are_not_parallel_are_refused(tmp_path):
    paths = [
        factory.write(tmp_path / "a", **factory.located()),
        factory.write(tmp_path / "b", **factory.located(orientation=factory.AXIAL)),
    ]
    with pytest.raises(BadImageError, match="each orientation separately"):
        _load(paths)


def test_slices_of_different_spacings_are_refused(tmp_path):
    places = factory.slice_positions(2)
    paths = [
        factory.write(tmp_path / n, **factory.located(place, spacing=(mm, mm)))
        for n, mm, place in zip("ab", (0.5, 0.8), places, strict=True)
    ]
    with pytest.raises(BadImageError, match="each spacing separately"):
        _load(paths)


def test_slices_of_different_meanings_are_refused_unless_a_user_says_what_they_are(tmp_path):
    paths = [
        factory.write(tmp_path / n, modality="MR", ImageType=["ORIGINAL", "PRIMARY", n],
                      **factory.located(place))
        for n, place in zip("MP", factory.slice_positions(2), strict=True)
    ]  # fmt: skip
    auto = DicomReader(kind="auto")
    with pytest.raises(BadImageError, match="got gray and phase; give the files of each"):
        auto.get_data(auto.read(paths))
    assert _load(paths)[0].shape == (1, 9, 6, 2)


def test_mixed_photometric_slices_are_refused(tmp_path):
    places = factory.slice_positions(2)
    paths = [
        factory.write(tmp_path / n, photometric=p, **factory.located(x))
        for n, p, x in zip("ab", ("MONOCHROME1", "MONOCHROME2"), places, strict=True)
    ]
    with pytest.raises(BadImageError, match="give the kinds separately"):
        _load(paths)


def test_colors_among_gray_slices_are_refused(tmp_path):
    places = factory.slice_positions(2)
    gray, colors = factory.stored((6, 9), 8), factory.stored((6, 9, 3), 8)
    paths = [
        factory.write(tmp_path / "a", gray, bits=8, **factory.located(places[0])),
        factory.write(tmp_path / "b", colors, bits=8, photometric="RGB",
                      **factory.located(places[1])),
    ]  # fmt: skip
    with pytest.raises(BadImageError, match="give the kinds separately"):
        _load(paths)


def test_message_survives_load_image(tmp_path):
    (tmp_path / "empty.dcm").touch()
    with pytest.raises(RuntimeError) as caught:
        LoadImage(reader=DicomReader)(tmp_path / "empty.dcm")
    assert "copy it again" in user_message(caught.value)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("MR_small_RLE.dcm", 1),
        ("SC_rgb_jpeg_gdcm.dcm", 1),
        ("SC_rgb_jpeg_gdcm.dcm", -1),
        ("MR_small_jp2klossless.dcm", 1),
        ("MR_small_jp2klossless.dcm", -1),
    ],
)
def test_compressed_frames_of_another_size_are_refused(tmp_path, name, rows):
    made = pydicom.dcmread(get_testdata_file(name))
    made.Rows += rows
    made.save_as(tmp_path / name)
    with pytest.raises(BadImageError, match=r"(copy the file again|convert it to uncompressed)"):
        _load(tmp_path / name)


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "image_dfl.dcm", "MR_small_jp2klossless.dcm"])
def test_flipped_bits_never_pass_as_another_error(tmp_path, name):
    data = Path(get_testdata_file(name)).read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(12):
        broken = np.frombuffer(data, np.uint8).copy()
        broken[rng.integers(132, len(data), 8)] ^= np.uint8(1 << rng.integers(8))
        (tmp_path / name).write_bytes(broken.tobytes())
        with contextlib.suppress(BadImageError):
            _load(tmp_path / name)


@pytest.mark.parametrize("cosines", [(1, 0, 0, 0.5, 0.8, 0), (2, 0, 0, 0, 1, 0)])
def test_directions_that_are_none_are_refused_by_name(tmp_path, cosines):
    factory.write(tmp_path / "tilted.dcm", **factory.located(orientation=cosines))
    with pytest.raises(BadImageError, match=r"tilted\.dcm: ImageOrientationPatient .* repair"):
        _load(tmp_path / "tilted.dcm")
