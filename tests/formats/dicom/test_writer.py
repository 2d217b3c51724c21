"""What DicomWriter leaves on the disk: exact values, moved geometry, a derived identity."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from monai.data import MetaTensor
from monai.transforms import LoadImage, SaveImage
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from monai_sr.core.errors import OutputError
from monai_sr.formats.dicom.pixel_module import MAX_SIDE, check_size
from monai_sr.formats.dicom.reader import DicomReader
from monai_sr.formats.dicom.writer import DicomWriter
from monai_sr.geometry.target_grid import scaled_affine
from tests import dicom_factory as factory
from tests.dicom_factory import enlarge


def _to_mm(dataset, column, row):
    """Place a pixel by the tags alone, PS3.3 C.7.6.2.1.1."""
    position = np.array([float(v) for v in dataset.ImagePositionPatient])
    across, down = np.array([float(v) for v in dataset.ImageOrientationPatient]).reshape(2, 3)
    rows_mm, columns_mm = (float(v) for v in dataset.PixelSpacing)
    return position + across * columns_mm * column + down * rows_mm * row


@pytest.mark.parametrize(
    ("photometric", "bits", "signed", "modality"),
    [
        ("MONOCHROME2", 16, True, "CT"),
        ("MONOCHROME2", 12, False, "MR"),
        ("MONOCHROME1", 14, False, "DX"),
        ("MONOCHROME2", 8, False, "SC"),
        ("RGB", 8, False, "US"),
    ],
)
def test_stored_values_are_exact(tmp_path, photometric, bits, signed, modality):
    shape = (5, 7, 3) if photometric == "RGB" else (5, 7)
    pixels = factory.stored(shape, bits, signed)
    options = {"photometric": photometric, "bits": bits, "modality": modality}
    source = factory.write(tmp_path / "a.dcm", pixels, **options)
    enlarge(source, tmp_path / "o.dcm", 3)
    written = pydicom.dcmread(tmp_path / "o.dcm")
    expected = pixels.repeat(3, 0).repeat(3, 1)
    np.testing.assert_array_equal(written.pixel_array, expected)
    assert written.pixel_array.dtype == pixels.dtype
    assert (written.Rows, written.Columns) == (15, 21)
    assert (written.BitsStored, written.PhotometricInterpretation) == (bits, photometric)


def test_fractions_are_rounded_and_clipped_to_what_bits_hold(tmp_path):
    source = factory.write(tmp_path / "a.dcm", factory.stored((1, 2), 12))
    values = np.array([[[-3.0], [1.5]], [[2.6], [9e9]]]).reshape(1, 4, 1).repeat(2, 2)
    enlarge(source, tmp_path / "o.dcm", 2, values=values)
    written = pydicom.dcmread(tmp_path / "o.dcm").pixel_array
    np.testing.assert_array_equal(written, [[0, 2, 3, 4095]] * 2)


def test_integers_are_clipped_to_what_bits_hold(tmp_path):
    source = factory.write(tmp_path / "a.dcm", factory.stored((1, 1), 12))
    values = np.array([4096, 7, 65535, 4095], np.uint16).reshape(1, 2, 2)
    enlarge(source, tmp_path / "o.dcm", 2, values=values)
    written = pydicom.dcmread(tmp_path / "o.dcm").pixel_array
    np.testing.assert_array_equal(written, [[4095, 4095], [7, 4095]])


def test_each_file_of_a_series_is_clipped_to_its_own_bits(tmp_path):
    """A slice of 12 bits beside those of 16 gets no value that readers take for another."""
    for i, (bits, place) in enumerate(zip((16, 12, 16), factory.slice_positions(3), strict=True)):
        pixels = np.full((6, 9), 4000, np.uint16)
        tags = factory.located(place.round(9))
        factory.write(tmp_path / "s" / f"{i}", pixels, bits=bits, modality="MR", **tags)
    enlarge(tmp_path / "s", tmp_path / "o", 2, values=np.full((1, 18, 12, 3), 4467.0))
    found = [pydicom.dcmread(tmp_path / "o" / f"slice_000{i}.dcm") for i in (1, 2, 3)]
    assert [int(each.pixel_array.max()) for each in found] == [4467, 4095, 4467]
    assert max(np.frombuffer(found[1].PixelData, "<u2")) == 4095


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("declared", [b"ISO_IR 192", b"ISO_IR 13 ", b"ISO_IR 126"])
def test_text_of_another_character_set_stays_byte_for_byte(tmp_path, syntax, declared):
    """Latin 1 under the name of another set is common; whose set it is, nobody here knows."""
    made, name = factory.dataset(), b"M\xfcller^J\xf6rg "
    made.file_meta.TransferSyntaxUID = syntax
    made.SpecificCharacterSet = "ISO_IR 100"
    made.PatientName = made.PatientComments = "Q" * len(name)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    content = (tmp_path / "a.dcm").read_bytes()
    content = content.replace(b"Q" * len(name), name).replace(b"ISO_IR 100", declared)
    (tmp_path / "a.dcm").write_bytes(content)
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm", 2)
    assert (tmp_path / "o.dcm").read_bytes().count(name) == 2


@pytest.mark.parametrize("mark", [b"MZ", b"II*\0"])
def test_what_stood_before_the_source_is_left_out(tmp_path, mark):
    made = factory.dataset()
    made.preamble = mark.ljust(128, b"\x90")
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm", 2)
    assert (tmp_path / "o.dcm").read_bytes()[:132] == b"\0" * 128 + b"DICM"


@pytest.mark.parametrize(
    ("tags", "are_counts"),
    [({"Modality": "NM"}, True), ({"Modality": "PT", "Units": "CNTS"}, True),
     ({"Modality": "PT", "Units": "BQML"}, False), ({"Modality": "CT"}, False)],
)  # fmt: skip
def test_counts_are_warned_of_and_said_to_be_of_the_source(tmp_path, caplog, tags, are_counts):
    source = factory.write(tmp_path / "a.dcm", **tags)
    enlarge(source, tmp_path / "o.dcm", 2)
    assert ("divide by 4 for counts per pixel of the result" in caplog.text) == are_counts
    said = pydicom.dcmread(tmp_path / "o.dcm").DerivationDescription
    assert ("values are counts per pixel of the source" in said) == are_counts


def test_results_that_are_no_numbers_are_refused(tmp_path):
    source = factory.write(tmp_path / "a.dcm")
    with pytest.raises(OutputError, match=r"must be finite.*got NaN or infinity"):
        enlarge(source, tmp_path / "o.dcm", 2, values=np.full((1, 18, 12), np.nan))
    assert not (tmp_path / "o.dcm").exists()


def test_the_widest_integers_do_not_wrap_around(tmp_path):
    top = 2**32 - 1
    source = factory.write(tmp_path / "a.dcm", np.array([[top]], np.uint32), bits=32)
    enlarge(source, tmp_path / "o.dcm", 2, values=np.full((1, 2, 2), 2.0**32))
    assert (pydicom.dcmread(tmp_path / "o.dcm").pixel_array == top).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_first_pixel_center_moves_and_outer_edges_coincide(tmp_path, scale):
    source = factory.write(tmp_path / "a.dcm", **factory.located())
    enlarge(source, tmp_path / "o.dcm", scale)
    old, new = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "o.dcm")
    moved = _to_mm(old, (1 / scale - 1) / 2, (1 / scale - 1) / 2)
    np.testing.assert_allclose(_to_mm(new, 0, 0), moved, atol=1e-9)
    edges = [(-0.5, -0.5), (old.Columns - 0.5, -0.5), (old.Columns - 0.5, old.Rows - 0.5)]
    for column, row in edges:
        at = ((column + 0.5) * scale - 0.5, (row + 0.5) * scale - 0.5)
        np.testing.assert_allclose(_to_mm(new, *at), _to_mm(old, column, row), atol=1e-6)
    assert new.FrameOfReferenceUID == old.FrameOfReferenceUID


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "693_J2KI.dcm"])
def test_lengths_of_real_slices_stay(tmp_path, name):
    source = get_testdata_file(name)
    enlarge(source, tmp_path / "o.dcm")
    old, new = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "o.dcm")
    a, b = (3.25, 40.0), (29.5, 7.75)
    before = np.linalg.norm(_to_mm(old, *a) - _to_mm(old, *b))
    a, b = [[(v + 0.5) * 4 - 0.5 for v in point] for point in (a, b)]
    after = np.linalg.norm(_to_mm(new, *a) - _to_mm(new, *b))
    assert after == pytest.approx(before, abs=1e-6)


def test_projection_spacings_are_divided_and_detector_spacing_kept(tmp_path):
    spacings = {
        "PixelSpacing": [0.143, 0.2],
        "ImagerPixelSpacing": [0.15, 0.21],
        "DetectorElementSpacing": [0.075, 0.105],
        "PixelSpacingCalibrationType": "GEOMETRY",
    }
    source = factory.write(tmp_path / "a.dcm", modality="DX", **spacings)
    enlarge(source, tmp_path / "o.dcm")
    new = pydicom.dcmread(tmp_path / "o.dcm")
    np.testing.assert_allclose([float(v) for v in new.PixelSpacing], [0.143 / 4, 0.05])
    np.testing.assert_allclose([float(v) for v in new.ImagerPixelSpacing], [0.15 / 4, 0.21 / 4])
    assert list(new.DetectorElementSpacing) == [0.075, 0.105]
    assert new.PixelSpacingCalibrationType == "GEOMETRY"


def test_scanned_film_spacing_is_divided(tmp_path):
    source = factory.write(tmp_path / "a.dcm", modality="SC", NominalScannedPixelSpacing=[1, 2])
    enlarge(source, tmp_path / "o.dcm", 2)
    assert list(pydicom.dcmread(tmp_path / "o.dcm").NominalScannedPixelSpacing) == [0.5, 1]


def test_series_becomes_a_folder_in_slice_order(tmp_path):
    volume = factory.stored((4, 6, 9))
    source = factory.write_series(tmp_path / "s", volume)
    enlarge(source, tmp_path / "out" / "s_x4.dcm")
    folder = tmp_path / "out" / "s_x4"
    names = [f"slice_{i:04d}.dcm" for i in (1, 2, 3, 4)]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert [p.name for p in folder.parent.iterdir()] == ["s_x4"]
    slices = [pydicom.dcmread(folder / name) for name in names]
    assert len({s.SeriesInstanceUID for s in slices}) == 1
    assert len({s.SOPInstanceUID for s in slices}) == 4
    array, meta = DicomReader().get_data(DicomReader().read(folder))
    _, old = DicomReader().get_data(DicomReader().read(source))
    np.testing.assert_array_equal(array[0].transpose(2, 1, 0), volume.repeat(4, 1).repeat(4, 2))
    expected = scaled_affine(old["affine"], (4, 4))
    np.testing.assert_allclose(meta["affine"], expected, atol=1e-6)


def test_enhanced_frames_move_one_by_one(tmp_path):
    volume = factory.stored((3, 6, 9))
    positions = factory.slice_positions(3)
    source = factory.write_enhanced(tmp_path / "e.dcm", volume, positions)
    enlarge(source, tmp_path / "o.dcm", 2)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    np.testing.assert_array_equal(new.pixel_array, volume.repeat(2, 1).repeat(2, 2))
    shared = new.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.35, 0.2]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 2.5
    assert shared.MRImageFrameTypeSequence[0].FrameType[0] == "DERIVED"
    shift = -0.25 * (np.array([0.8, 0.6, 0]) * 0.4 + np.array([-0.48, 0.64, 0.6]) * 0.7)
    for frame, old in zip(new.PerFrameFunctionalGroupsSequence, positions, strict=True):
        moved = [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient]
        np.testing.assert_allclose(moved, old + shift, atol=1e-9)
    derivation = shared.DerivationImageSequence[0]
    assert derivation.DerivationCodeSequence[0].CodeValue == "113085"
    source_item = derivation.SourceImageSequence[0]
    assert source_item.ReferencedSOPInstanceUID == pydicom.dcmread(source).SOPInstanceUID


def test_ultrasound_regions_measure_the_same(tmp_path):
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMaxX1 = 2, 7
    region.RegionLocationMinY0, region.RegionLocationMaxY1 = 1, 5
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, -0.03
    region.ReferencePixelX0, region.ReferencePixelY0 = 3, 2
    region.ReferencePixelPhysicalValueX, region.ReferencePixelPhysicalValueY = 1.5, 0
    tags = {"modality": "US", "SequenceOfUltrasoundRegions": [region]}
    source = factory.write(tmp_path / "a.dcm", **tags)
    enlarge(source, tmp_path / "o.dcm")
    new = pydicom.dcmread(tmp_path / "o.dcm").SequenceOfUltrasoundRegions[0]
    assert (new.RegionLocationMinX0, new.RegionLocationMaxX1) == (8, 31)
    assert (new.RegionLocationMinY0, new.RegionLocationMaxY1) == (4, 23)
    for axis in "XY":
        old_values = [region[f"{k}{axis}{z}"].value for k, z in _REGION_TAGS]
        new_values = [new[f"{k}{axis}{z}"].value for k, z in _REGION_TAGS]
        at = 4.75  # any landmark, in old pixels from the region's first one
        delta, pixel, value = old_values
        before = value + (at - pixel) * delta
        delta, pixel, value = new_values
        assert value + ((at + 0.5) * 4 - 0.5 - pixel) * delta == pytest.approx(before, abs=1e-12)


_REGION_TAGS = (("PhysicalDelta", ""), ("ReferencePixel", "0"), ("ReferencePixelPhysicalValue", ""))


def test_shutters_show_the_same_part(tmp_path):
    tags = {
        "ShutterShape": "RECTANGULAR",
        "ShutterLeftVerticalEdge": 2,
        "ShutterRightVerticalEdge": 8,
        "ShutterUpperHorizontalEdge": 1,
        "ShutterLowerHorizontalEdge": 6,
        "VerticesOfThePolygonalShutter": [1, 2, 6, 9],
    }
    source = factory.write(tmp_path / "a.dcm", modality="XA", **tags)
    enlarge(source, tmp_path / "o.dcm", 2)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert (new.ShutterLeftVerticalEdge, new.ShutterRightVerticalEdge) == (3, 16)
    assert (new.ShutterUpperHorizontalEdge, new.ShutterLowerHorizontalEdge) == (1, 12)
    np.testing.assert_allclose(new.VerticesOfThePolygonalShutter, [1.5, 3.5, 11.5, 17.5], atol=0.5)


def test_display_and_rescale_tags_stay_and_stale_ones_go(tmp_path):
    kept = {"WindowCenter": 40, "WindowWidth": 400, "RescaleSlope": 2, "RescaleIntercept": -5}
    stale = {"IconImageSequence": [Dataset()], "SmallestPixelValueInSeries": 0}
    made = factory.dataset(factory.stored((6, 9), 16, signed=True), bits=16, **kept, **stale)
    made.add_new("SmallestImagePixelValue", "SS", -9)
    made.add_new(0x60003000, "OW", b"\0" * 8)
    made.add_new(0x60000010, "US", 6)
    made.PixelPaddingValue = -2000
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    large = enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm")
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert {k: new[k].value for k in kept} == kept
    assert new.PixelPaddingValue == -2000
    assert new.SmallestImagePixelValue == large.min()
    assert "IconImageSequence" not in new
    assert "SmallestPixelValueInSeries" not in new
    assert not [e for e in new if 0x6000 <= e.tag.group < 0x6020]


@pytest.mark.parametrize("image_type", ["ORIGINAL", "DERIVED"])
def test_counts_that_a_palette_shows_stay_counts(tmp_path, image_type):
    """An NM image has one sample a pixel (PS3.3 C.8.4.7): as RGB it was none, and had no counts."""
    pixels = factory.stored((6, 9), 16)
    made = factory.dataset(pixels, photometric="PALETTE COLOR", bits=16, Modality="NM")
    made.SOPClassUID, made.ImageType = "1.2.840.10008.5.1.4.1.1.20", [image_type, "PRIMARY"]
    for word in ("Red", "Green", "Blue"):
        setattr(made, f"{word}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{word}PaletteColorLookupTableData", bytes(512))
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm", 2)
    written = pydicom.dcmread(tmp_path / "o.dcm")
    np.testing.assert_array_equal(written.pixel_array, pixels.repeat(2, 0).repeat(2, 1))
    assert (written.PhotometricInterpretation, written.SamplesPerPixel) == ("PALETTE COLOR", 1)
    assert written.RedPaletteColorLookupTableDescriptor == [256, 0, 16]


def test_palette_is_written_as_rgb(tmp_path):
    large = enlarge(get_testdata_file("examples_palette.dcm"), tmp_path / "o.dcm", 2)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert (new.PhotometricInterpretation, new.PlanarConfiguration) == ("RGB", 0)
    assert not [e for e in new if "PaletteColor" in e.keyword]
    np.testing.assert_array_equal(new.pixel_array, large.transpose(2, 1, 0))


def test_big_endian_tables_are_turned(tmp_path):
    made = factory.dataset()
    made.VOILUTSequence = [Dataset()]
    made.VOILUTSequence[0].LUTDescriptor = [2, 0, 16]
    made.VOILUTSequence[0].add_new("LUTData", "OW", b"\x01\x02\x03\x04")
    made.PixelData = made.pixel_array.astype(">u2").tobytes()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    pydicom.dcmwrite(tmp_path / "a.dcm", made, enforce_file_format=True)
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm")
    old, new = pydicom.dcmread(tmp_path / "a.dcm"), pydicom.dcmread(tmp_path / "o.dcm")
    np.testing.assert_array_equal(new.pixel_array[::4, ::4], old.pixel_array)
    assert new.VOILUTSequence[0]["LUTData"].value == b"\x02\x01\x04\x03"


def test_float_maps_stay_float(tmp_path, shared_data):
    source = shared_data / "dicom" / "parametric_map_float.dcm"
    large = enlarge(source, tmp_path / "o.dcm", 2)
    written = pydicom.dcmread(tmp_path / "o.dcm").pixel_array
    np.testing.assert_array_equal(written, large[0].T)


def test_every_shared_file_comes_back(tmp_path, shared_data):
    for source in sorted((shared_data / "dicom").glob("*.dcm")):
        if source.stat().st_size < 400_000:
            large = enlarge(source, tmp_path / "o.dcm", 2)
            reader = DicomReader()
            array, _ = reader.get_data(reader.read(tmp_path / "o.dcm"))
            np.testing.assert_array_equal(array, large, err_msg=source.name)


def test_save_image_takes_the_writer_as_it_is(tmp_path):
    source = factory.write(tmp_path / "a.dcm", **factory.located())
    image = LoadImage(reader=DicomReader, dtype=None)(source)
    affine = scaled_affine(image.meta["affine"].numpy(), (2, 2))
    large = image.array.repeat(2, 1).repeat(2, 2)
    pred = MetaTensor(large, meta={**image.meta, "affine": affine})
    options = {"output_postfix": "x2", "separate_folder": False, "resample": False}
    save = SaveImage(tmp_path / "out", output_ext=".dcm", writer=DicomWriter, **options)
    save(pred)
    new = pydicom.dcmread(tmp_path / "out" / "a_x2.dcm")
    np.testing.assert_array_equal(new.pixel_array, large[0].T)


def test_too_large_sides_are_refused():
    with pytest.raises(OutputError, match=f"{MAX_SIDE} rows.*70000 x 8; use a smaller scale"):
        check_size("o.dcm", (1, 70000, 8, 1), 2)
    with pytest.raises(OutputError, match="smaller scale or fewer frames"):
        check_size("o.dcm", (1, 65535, 65535, 1), 2)


def test_refused_sizes_leave_nothing_behind(tmp_path):
    source = factory.write(tmp_path / "a.dcm", factory.stored((1, 20000)))
    with pytest.raises(OutputError, match="use a smaller scale"):
        enlarge(source, tmp_path / "out" / "o.dcm", 4)
    assert not (tmp_path / "out").exists()


def test_cropped_images_are_refused(tmp_path):
    source = factory.write(tmp_path / "a.dcm", **factory.located())
    with pytest.raises(OutputError, match="write it as NIfTI"):
        enlarge(source, tmp_path / "o.dcm", 2, affine=np.eye(4))
    assert not (tmp_path / "o.dcm").exists()


@pytest.mark.parametrize(("share", "is_refused"), [(0.9e-3, False), (1.2e-3, True)])
def test_a_field_may_be_off_by_a_thousandth_of_a_pixel(tmp_path, share, is_refused):
    tags = {**factory.located(), "SliceThickness": 0.05}
    source = factory.write(tmp_path / "a.dcm", **tags)
    reader = DicomReader()
    affine = scaled_affine(reader.get_data(reader.read(source))[1]["affine"], (2, 2))
    affine[2, 3] += share * 0.2  # pixels of 0.4 mm, halved
    if is_refused:
        with pytest.raises(OutputError, match="must cover all of its source"):
            enlarge(source, tmp_path / "o.dcm", 2, affine=affine)
    else:
        enlarge(source, tmp_path / "o.dcm", 2, affine=affine)


def test_lost_slices_are_refused(tmp_path):
    source = factory.write_series(tmp_path / "s")
    with pytest.raises(OutputError, match="keep all slices or write NIfTI"):
        enlarge(source, tmp_path / "o", 2, values=np.zeros((1, 18, 12, 3)))
    assert not (tmp_path / "o").exists()


def test_images_of_another_origin_are_refused(tmp_path):
    writer = DicomWriter()
    writer.set_data_array(np.zeros((1, 4, 4)))
    writer.set_metadata({"sr_format": "raster"})
    with pytest.raises(OutputError, match="load it with DicomReader"):
        writer.write(tmp_path / "o.dcm")
