"""What DicomReader delivers: stored values, geometry and facts; and what it says to bad files."""

from __future__ import annotations

import base64
import copy
import json
import logging
import os
import shutil

import numpy as np
import pydicom
import pytest
from monai.data import DataLoader, Dataset
from monai.transforms import LoadImage, LoadImaged
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut
from pydicom.uid import HTJ2KLossless

from monai_sr.formats import find_series, is_dicom
from monai_sr.formats.dicom.files import open_dicom
from monai_sr.formats.dicom.reader import DicomReader
from monai_sr.formats.facts import Facts
from tests import dicom_factory as factory


def _load(path):
    reader = DicomReader()
    return reader.get_data(reader.read(path))


@pytest.mark.parametrize(
    ("modality", "bits", "signed"),
    [("CT", 16, True), ("MR", 12, False), ("DX", 14, False), ("CR", 10, False), ("SC", 8, False)],
)
def test_stored_values_arrive_in_monai_order(tmp_path, modality, bits, signed):
    pixels = factory.stored((6, 9), bits, signed)
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 9}
    path = factory.write(tmp_path / "a.dcm", pixels, modality=modality, bits=bits, **tags)
    array, meta = _load(path)
    np.testing.assert_array_equal(array[0].T, pixels)
    assert array.dtype == np.float32
    assert meta["sr_dtype"] == pixels.dtype.name
    limits = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    assert tuple(meta["sr_storable"]) == limits
    if bits <= 12:
        assert tuple(meta["sr_declared_range"]) == limits
    else:
        assert np.isnan(meta["sr_declared_range"]).all()


def test_meta_keeps_the_contract(tmp_path):
    path = factory.write(tmp_path / "a.dcm", **factory.located())
    _, meta = _load(path)
    assert set(meta) == {
        "affine", "original_affine", "spatial_shape", "original_channel_dim", "space",
        "filename_or_obj", "sr_format", "sr_files", "sr_dtype", "sr_storable",
        "sr_declared_range", "sr_inverted", "sr_nodata", "sr_slice_axis",
        "sr_rgb", "sr_unit_mm", "sr_valid", "sr_fill", "sr_unit",
        "sr_kind", "sr_kind_reason", "sr_code_bands", "sr_mosaic",
    }  # fmt: skip
    assert all(isinstance(v, str | int | float | np.ndarray) for v in meta.values())
    assert json.loads(meta["sr_files"]) == [str(path)]
    assert meta["sr_slice_axis"] == -1
    assert meta["sr_format"] == "dicom"


def test_wide_integers_come_in_double_precision():
    array, meta = _load(get_testdata_file("rtdose.dcm"))
    stored = pydicom.dcmread(get_testdata_file("rtdose.dcm")).pixel_array
    assert array.dtype == np.float64
    assert meta["sr_slice_axis"] == 2
    np.testing.assert_array_equal(array[0].transpose(2, 1, 0), stored)


def test_monochrome1_is_flagged_and_stays_as_stored(tmp_path):
    pixels = factory.stored((6, 9))
    path = factory.write(tmp_path / "a.dcm", pixels, photometric="MONOCHROME1", modality="DX")
    array, meta = _load(path)
    assert meta["sr_inverted"] == 1
    np.testing.assert_array_equal(array[0].T, pixels)


@pytest.mark.parametrize(("bits", "expected"), [(8, (0, 255)), (12, (0, 4095)), (13, None)])
def test_up_to_12_bits_are_the_range_of_the_image(tmp_path, bits, expected):
    declared = _load(factory.write(tmp_path / "a.dcm", factory.stored((6, 9), bits), bits=bits))[1][
        "sr_declared_range"
    ]
    assert np.isnan(declared).all() if expected is None else tuple(declared) == expected


def test_padding_value_is_the_nodata_value():
    assert _load(get_testdata_file("CT_small.dcm"))[1]["sr_nodata"] == -2000
    assert np.isnan(_load(get_testdata_file("MR_small.dcm"))[1]["sr_nodata"])


def test_projection_spacing_is_diagonal(tmp_path):
    path = factory.write(tmp_path / "a.dcm", modality="DX", ImagerPixelSpacing=[0.3, 0.2])
    np.testing.assert_array_equal(_load(path)[1]["affine"], np.diag([0.2, 0.3, 1, 1]))


def test_ybr_becomes_rgb(tmp_path):
    gray = np.repeat(factory.stored((6, 9, 1), 8), 3, axis=2)
    ybr = gray.copy()
    ybr[..., 1:] = 128  # no color: R = G = B = Y
    path = factory.write(tmp_path / "a.dcm", ybr, photometric="YBR_FULL", bits=8, modality="US")
    np.testing.assert_array_equal(_load(path)[0].transpose(2, 1, 0), gray)


def test_a_place_without_a_pixel_spacing_states_no_lengths(tmp_path):
    """Else 1 mm would be guessed, and ``--spacing`` reckon with it."""
    tags = factory.located()
    del tags["PixelSpacing"]
    image = LoadImage(reader=DicomReader)(factory.write(tmp_path / "a.dcm", **tags))
    assert np.isnan(Facts(image.meta).unit_mm)


def test_the_palette_of_a_screen_capture_becomes_rgb_whatever_was_captured(tmp_path):
    made = pydicom.dcmread(get_testdata_file("examples_palette.dcm"))
    made.Modality, made.ImageType = "NM", ["ORIGINAL", "PRIMARY"]
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    made.save_as(tmp_path / "a.dcm")
    assert LoadImage(reader=DicomReader)(tmp_path / "a.dcm").shape[0] == 3


def test_palette_becomes_rgb():
    path = get_testdata_file("examples_palette.dcm")
    source = pydicom.dcmread(path)
    array, meta = _load(path)
    expected = apply_color_lut(source.pixel_array, source) >> 8
    np.testing.assert_array_equal(array.transpose(2, 1, 0), expected)
    assert meta["sr_dtype"] == "uint8"
    assert tuple(meta["sr_declared_range"]) == (0, 255)


@pytest.mark.parametrize(
    ("compressed", "plain"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
    ],
)
def test_lossless_compressions_give_the_same_values(compressed, plain):
    expected = _load(get_testdata_file(plain))[0]
    np.testing.assert_array_equal(_load(get_testdata_file(compressed))[0], expected)


# 12 bits, 12 x 20, written by OpenJPH 0.26.3.
HTJ2K_FRAME = base64.b64decode(
    "/0//UQApQAAAAAAUAAAADAAAAAAAAAAAAAAAFAAAAAwAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wA"
    "EyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAJMAAf+TwAAm6fMFB3QAwAATAC7+"
    "Agd0AMAAEsAAFQD5AEd0ALyW1/4A4jQAwAASwAAVIMkAQnQAvb3eAAAA9jYAwAAVMAAFeEpF+dCP4It2APjFL37xi9/gKP5S"
    "gb64AMAAKuAAFsAAAADA78p6cAJ3AKaaMmXKlClTpkyZ+vyIPZCAe/ZCAey8AP/Z"
)


def test_high_throughput_jpeg_2000_gives_the_values_that_were_encoded(tmp_path):
    expected = (np.arange(240).reshape(12, 20) * 17 % 4096).astype(np.uint16)
    made = factory.dataset(np.zeros_like(expected), bits=16)
    made.file_meta.TransferSyntaxUID = HTJ2KLossless
    made.PixelData = encapsulate([HTJ2K_FRAME])
    made["PixelData"].is_undefined_length = True
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(_load(tmp_path / "a.dcm")[0][0].T, expected)


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_extended_jpeg_of_12_bits_is_decoded_in_silence(name, capfd):
    array = _load(get_testdata_file(name))[0][0].T
    # What libjpeg decodes at two places, and over the whole image (least, greatest, mean).
    assert (array[420, 140], array[230, 120]) == (244, 95)
    assert (array.min(), array.max()) == (0, 264)
    assert array.mean() == pytest.approx(14.383, abs=0.02)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("bits", "signed"), [(8, True), (32, False), (32, True), (24, True)])
def test_deep_and_signed_values_arrive_exactly(tmp_path, bits, signed):
    pixels = factory.stored((6, 9), bits, signed)
    array, meta = _load(factory.write(tmp_path / "a.dcm", pixels, bits=bits))
    np.testing.assert_array_equal(array[0].T, pixels)
    assert meta["sr_dtype"] == pixels.dtype.name


def test_every_shared_file_is_read(shared_data):
    for path in sorted((shared_data / "dicom").glob("*.dcm")):
        array, meta = _load(path)
        assert array.shape[0] in (1, 3), path.name
        assert np.linalg.det(meta["affine"]) != 0, path.name


@pytest.mark.parametrize("is_implicit", [True, False])
def test_files_without_preamble_are_read(tmp_path, is_implicit):
    made = factory.dataset()
    expected = made.pixel_array
    made.file_meta, made.preamble = FileMetaDataset(), None
    pydicom.dcmwrite(tmp_path / "bare", made, implicit_vr=is_implicit, little_endian=True)
    assert (tmp_path / "bare").read_bytes()[:2] == b"\x08\x00"
    np.testing.assert_array_equal(_load(tmp_path / "bare")[0][0].T, expected)


@pytest.mark.parametrize("element", [0x05, 0x08, 0x10, 0x12, 0x16, 0x18])
def test_files_without_preamble_are_known_by_what_may_come_first(tmp_path, element):
    made = factory.dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.InstanceCreationDate = "20240102"
    made.add_new(0x00080010, "SH", "ACR-NEMA 2.0")
    for tag in [tag for tag in made.keys() if tag.group == 8 and tag.element < element]:  # noqa: SIM118
        del made[tag]
    made.file_meta, made.preamble = FileMetaDataset(), None
    pydicom.dcmwrite(tmp_path / "bare", made, implicit_vr=True, little_endian=True)
    assert (tmp_path / "bare").read_bytes()[:4] == bytes([8, 0, element, 0])
    assert is_dicom(tmp_path / "bare")


def test_series_is_sorted_by_position(tmp_path):
    volume = factory.stored((4, 6, 9))
    folder = factory.write_series(tmp_path / "s", volume)
    array, meta = _load(folder)
    np.testing.assert_array_equal(array[0].transpose(2, 1, 0), volume)
    names = [os.path.basename(p) for p in json.loads(meta["sr_files"])]
    assert names == ["im04", "im03", "im02", "im01"]
    assert meta["sr_slice_axis"] == 2
    assert meta["filename_or_obj"] == str(folder)
    assert np.linalg.norm(meta["affine"][:3, 2]) == pytest.approx(2.5, abs=1e-6)


def test_series_without_positions_is_sorted_by_number(tmp_path, caplog):
    volume = factory.stored((3, 6, 9))
    paths = [
        factory.write(tmp_path / f"{9 - i}", v, InstanceNumber=i) for i, v in enumerate(volume)
    ]
    with caplog.at_level(logging.WARNING):
        array, _ = _load(paths[::-1])
    np.testing.assert_array_equal(array[0].transpose(2, 1, 0), volume)
    assert "InstanceNumber" in caplog.text


def test_gaps_and_repeats_are_counted(tmp_path, caplog):
    places = factory.slice_positions(8)[[0, 1, 1, 2, 3, 6, 7]]
    folder = factory.write_series(tmp_path / "s", factory.stored((7, 6, 9)), places)
    with caplog.at_level(logging.WARNING):
        _load(sorted(folder.iterdir()))
    assert "1 slices repeat a position" in caplog.text
    assert "2 slices are missing" in caplog.text


def test_enhanced_frames_form_a_volume(tmp_path):
    volume = factory.stored((3, 6, 9))
    path = factory.write_enhanced(tmp_path / "e.dcm", volume, factory.slice_positions(3))
    array, meta = _load(path)
    np.testing.assert_array_equal(array[0].transpose(2, 1, 0), volume)
    np.testing.assert_allclose(np.linalg.norm(meta["affine"][:3, :3], axis=0), [0.4, 0.7, 2.5])


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([0, 1, 2, 3], ""),
        ([3, 2, 1, 0], ""),
        ([0, 2, 1, 3], "lie in no order"),
        ([0, 1, 0, 1], "2 slices repeat a position"),
        ([0, 1, 3, 4], "1 slices are missing"),
    ],
)
def test_frames_that_one_affine_cannot_place_are_told(tmp_path, caplog, order, said):
    places = factory.slice_positions(5)[order]
    path = factory.write_enhanced(tmp_path / "e.dcm", factory.stored((4, 6, 9)), places)
    _load(path)
    assert said in caplog.text if said else not caplog.records


def test_frames_of_several_directions_are_told(tmp_path, caplog):
    path = factory.write_enhanced(
        tmp_path / "e.dcm", factory.stored((2, 6, 9)), factory.slice_positions(2)
    )
    made = pydicom.dcmread(path)
    shared = made.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence
    del shared.PlaneOrientationSequence
    for frame, cosines in zip(
        made.PerFrameFunctionalGroupsSequence, (factory.AXIAL, factory.OBLIQUE), strict=True
    ):
        item = copy.deepcopy(orientation[0])
        item.ImageOrientationPatient = list(cosines)
        frame.PlaneOrientationSequence = [item]
    made.save_as(path)
    _load(path)
    assert "several directions" in caplog.text


def test_folders_are_grouped_into_images(tmp_path):
    factory.write_series(tmp_path / "a")
    second = factory.stored((2, 6, 9), seed=5)
    factory.write_series(tmp_path / "a" / "more", second, SeriesInstanceUID="1.2.3")
    factory.write(tmp_path / "a" / "x1.dcm", modality="DX", **factory.located())
    other = {"SOPInstanceUID": "1.2.3.4", **factory.located()}
    factory.write(tmp_path / "a" / "x2.dcm", modality="DX", **other)
    shutil.copy(get_testdata_file("rtplan.dcm"), tmp_path / "a" / "plan.dcm")
    shutil.copy(get_testdata_file("DICOMDIR"), tmp_path / "a" / "DICOMDIR")
    (tmp_path / "a" / "notes.txt").write_text("08 " * 200)
    (tmp_path / "a" / ".hidden.dcm").write_bytes((tmp_path / "a" / "x1.dcm").read_bytes())
    assert sorted(len(s) for s in find_series(tmp_path / "a")) == [1, 1, 1, 4]
    assert sorted(len(s) for s in find_series(tmp_path / "a", recursive=True)) == [1, 1, 1, 2, 4]


def test_localizers_fall_apart_by_orientation(tmp_path):
    factory.write_series(tmp_path / "s", factory.stored((2, 6, 9)))
    for i in (1, 2):
        place = factory.located(orientation=factory.AXIAL)
        factory.write(tmp_path / "s" / f"b{i}", InstanceNumber=i, **place)
    assert [len(s) for s in find_series(tmp_path / "s")] == [2, 2]


@pytest.mark.parametrize("shape", [(7, 9), (6, 8)])
def test_slices_of_another_size_stand_apart(tmp_path, shape):
    factory.write_series(tmp_path / "s", factory.stored((3, 6, 9)))
    place = factory.located(factory.slice_positions(4)[3])
    factory.write(tmp_path / "s" / "z", factory.stored(shape), **place)
    series = find_series(tmp_path / "s")
    assert [[p.name for p in s] for s in series] == [["im01", "im02", "im03"], ["z"]]


def test_only_dicom_is_taken_for_dicom(tmp_path):
    words = tmp_path / "words"
    words.write_bytes(b"\x08\x00\x05\x00CS" + b"not DICOM at all " * 50)
    assert not is_dicom(words)
    assert not is_dicom(tmp_path)
    assert not is_dicom(get_testdata_file("rtplan.dump"))
    assert is_dicom(get_testdata_file("rtstruct.dcm"))


def test_load_image_and_loader_take_the_reader_as_it_is(tmp_path):
    paths = [
        factory.write(tmp_path / "1.dcm", modality="DX", ImagerPixelSpacing=[0.3, 0.2]),
        factory.write(tmp_path / "2.dcm", photometric="MONOCHROME1", modality="CR"),
    ]
    image = LoadImage(reader=DicomReader, dtype=None)(paths[0])
    assert tuple(image.shape) == (1, 9, 6)
    assert image.pixdim[:2].tolist() == pytest.approx([0.2, 0.3])
    data = Dataset([{"image": p} for p in paths], LoadImaged("image", reader=DicomReader))
    batch = next(iter(DataLoader(data, batch_size=2)))["image"]
    assert tuple(batch.shape) == (2, 1, 9, 6)


def test_opening_completes_the_meta_header():
    opened = open_dicom(get_testdata_file("no_meta_group_length.dcm"))
    assert opened.file_meta.TransferSyntaxUID
