"""Every row of the table of DICOM attributes does to a real file what it says, at every depth."""

from __future__ import annotations

import re

import numpy as np
import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from monai_sr.formats.dicom.attributes import (
    RULES,
    rules,
)
from monai_sr.formats.dicom.geometry import ARITHMETIC, rescale_geometry
from monai_sr.formats.dicom.identity import DROPPED, KEPT, RENEWED, SCALED
from tests import dicom_factory as factory
from tests.dicom_factory import enlarge

SCALE = 4
NEST = "UnassignedSharedConvertedAttributesSequence"
# Worked out by hand for an enlargement by 4: before, after.
BY_HAND = {
    "spacing": ([0.8, 0.4], [0.2, 0.1]),
    "column_spacing": ([0.8], [0.2]),
    "shift": ([0.5, -0.25], [2, -1]),
    "aspect": ([2, 1], [2, 1]),
    "magnification": ([2], [0.5]),
    "row_count": ([3], [12]),
    "column_count": ([3], [12]),
    "first_column": ([3], [9]),  # pixel 3 becomes pixels 9 to 12
    "first_row": ([3], [9]),
    "last_column": ([5], [20]),
    "last_row": ([5], [20]),
    "first_corner": ([1, 2], [1, 5]),
    "last_corner": ([9, 6], [36, 24]),
    "row_column_points": ([2, 3], [6, 10]),  # the middle of 5 to 8 is 6.5
    "corner_points": ([2, 3], [8, 12]),
    "graphic": ([2.5, 3], [10, 12]),
    "subject_area": ([2, 3, 4], [8, 12, 16]),
    "column": ([2], [10]),  # the middle of 8 to 11 is 9.5
    "row": ([2], [10]),
    "column_from_1": ([2], [6.5]),
    "row_from_1": ([2], [6.5]),
}
# What the factory or the file's own structure decides.
STRUCTURE = {"NumberOfFrames", "SOPClassUID", "MediaStorageSOPInstanceUID", "Rows", "Columns"}


def _value(keyword):
    vr = dictionary_VR(keyword).split(" or ")[0]
    count = int(re.match(r"\d+", dictionary_VM(keyword))[0])
    one = {
        "UI": "1.2.3.4", "SQ": [Dataset()], "DA": "20200102", "DT": "20200102", "TM": "101010",
        "AT": 0x00280010, "UR": "https://a.invalid", "AS": "047Y",
    }  # fmt: skip
    if vr in one:
        return one[vr]
    if vr in ("OB", "OW", "OF", "OD", "OL", "OV"):
        return b"\1\2\3\4\5\6\7\0"
    is_number = vr in ("DS", "IS", "FL", "FD", "US", "UL", "SS", "SL", "UV", "SV")
    many = [2] * count if is_number else ["A"] * count
    return many[0] if count == 1 else many


def _enlarged(tmp_path, values):
    made = factory.dataset()
    item = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
        setattr(item, keyword, value)
        for place in (made, item):
            if place[keyword].VR == "OB or OW":
                place[keyword].VR = "OW"
    setattr(made, NEST, [item])
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    before = pydicom.dcmread(tmp_path / "a.dcm")
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm", SCALE)
    after = pydicom.dcmread(tmp_path / "o.dcm")
    return before, [(before, after), (before[NEST][0], after[NEST][0])]


def _numbers(value):
    return np.atleast_1d(np.asarray(value, dtype=float))


@pytest.mark.parametrize("rule", [r for r in RULES if r.how in BY_HAND], ids=lambda r: r.words[:40])
def test_what_counts_pixels_is_scaled(tmp_path, rule):
    old, new = BY_HAND[rule.how]
    values = {word: old if len(old) > 1 else old[0] for word in rule.keywords}
    _, depths = _enlarged(tmp_path, values)
    for _, item in depths:
        for word in rule.keywords:
            np.testing.assert_allclose(_numbers(item[word].value), new, rtol=1e-6, err_msg=word)


@pytest.mark.parametrize(
    "rule", [r for r in RULES if r.action == DROPPED], ids=lambda r: r.words[:40]
)
def test_what_does_not_fit_is_dropped_and_noted(tmp_path, rule):
    _, depths = _enlarged(tmp_path, {word: _value(word) for word in rule.keywords})
    for depth, (before, after) in enumerate(depths):
        for word in rule.keywords:
            assert word in before
            assert (word in after) == (depth > 0 and rule.is_on_top), word
    assert rule.note in depths[0][1].DerivationDescription


def test_what_a_result_lacks_is_told_once_for_each_input(tmp_path, caplog):
    source = factory.write_series(tmp_path / "s")
    for file in source.iterdir():
        header = pydicom.dcmread(file)
        header.add_new((0x6000, 0x0010), "US", 6)
        header.save_as(file)
    with caplog.at_level("INFO", logger="monai_sr"):
        factory.enlarge(source, tmp_path / "out")
    told = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert told == [f"{tmp_path / 'out'}: overlays of the source are left out"]


@pytest.mark.parametrize("rule", [r for r in RULES if r.action == KEPT], ids=lambda r: r.words[:40])
def test_what_depends_on_neither_is_kept(tmp_path, rule):
    words = [w for w in rule.keywords if w not in STRUCTURE]
    _, depths = _enlarged(tmp_path, {word: _value(word) for word in words})
    for before, after in depths:
        for word in words:
            assert word in before
            assert after[word].value == before[word].value, word


def test_sizes_and_identity_are_renewed(tmp_path):
    words = [w for r in RULES if r.action == RENEWED for w in r.keywords]
    top = {w: _value(w) for w in words if w not in STRUCTURE}
    before, depths = _enlarged(tmp_path, top | {"Rows": 6, "Columns": 9})
    after = depths[0][1]
    for item in (after, after[NEST][0]):
        assert (item.Rows, item.Columns) == (24, 36)
    for word in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert after[word].value not in ("1.2.3.4", before[word].value)
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    low, high = after.pixel_array.min(), after.pixel_array.max()
    assert (after.SmallestImagePixelValue, after.LargestImagePixelValue) == (low, high)


def test_the_table_names_each_attribute_once_and_says_how():
    words = [word for rule in RULES for word in rule.keywords]
    assert len(words) == len(set(words)) == len(rules())
    assert all(tag_for_keyword(word) for word in words)
    known = {*BY_HAND, "place", "region"}
    assert {rule.how for rule in RULES if rule.action == SCALED} == known
    assert set(BY_HAND) == set(ARITHMETIC)


# Neither pixels of the image nor identity, whatever their names say.
_NEAR = (
    "Component|CalibrationType|CalibrationDescription|SignalDomain|TableRow|TableColumn|ofTable"
    "|Angulation|Names$|Units$|Justification|Visibility|FrameRange|CIELab|Interpretation"
    "|RotationAngle|ViewAngle|FocalPlanes|PointsBoundingBox|MPRTop|Compensator|NumberOfTable|Samples"
)
_COUNTING = (
    "Pixel(?!Padding|Value|Repres|Intens|Present|Band|Data$)|Row|Column|VerticalEdge"
    "|HorizontalEdge|OfCircular|OfThePolygonal|OfTheRegion|DisplayedArea|BoundingBox|AnchorPoint"
    "|GraphicData|Concatenation|HandCorner|RegionLocation|TMLine|SampleVolume"
)


def test_no_attribute_of_the_dictionary_is_forgotten():
    forgotten = [
        keyword
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items()
        if tag not in rules()
        and vr != "SQ"
        and tag >> 16 > 2
        and ((re.search(_COUNTING, keyword) and not re.search(_NEAR, keyword)) or vr == "UI")
        and tag >> 16 != 4
    ]
    assert forgotten == []


def test_a_radiotherapy_image_keeps_its_outer_edges(tmp_path):
    # Left edge -18.8 - 0.4 mm, of the new first pixel 0.1 mm outwards of its center (C.8.8.2).
    tags = {"ImagePlanePixelSpacing": [0.8, 0.8], "RTImagePosition": [-18.8, 18.8]}
    _, depths = _enlarged(tmp_path, tags)
    for _, item in depths:
        np.testing.assert_allclose(_numbers(item.RTImagePosition), [-19.1, 19.1])
        np.testing.assert_allclose(_numbers(item.ImagePlanePixelSpacing), [0.2, 0.2])


def test_a_turned_radiotherapy_image_moves_along_its_own_axes(tmp_path):
    tags = {
        "ImagePlanePixelSpacing": [0.8, 0.4],
        "RTImagePosition": [0, 0],
        "RTImageOrientation": [0, -1, 0, -1, 0, 0],
    }
    _, depths = _enlarged(tmp_path, tags)
    np.testing.assert_allclose(_numbers(depths[0][1].RTImagePosition), [0.3, 0.15])


def test_places_move_wherever_they_stand(tmp_path):
    tags = {
        "ImagePositionPatient": [1, 2, 3],
        "ImageOrientationPatient": list(factory.AXIAL),
        "PixelSpacing": [0.8, 0.4],
    }
    _, depths = _enlarged(tmp_path, tags)
    for _, item in depths:
        np.testing.assert_allclose(_numbers(item.ImagePositionPatient), [0.85, 1.7, 3])


def test_a_place_whose_axes_nobody_states_is_dropped(tmp_path):
    _, depths = _enlarged(tmp_path, {"ImagePositionPatient": [1, 2, 3]})
    assert not any("ImagePositionPatient" in item for _, item in depths)


def test_a_place_without_a_pixel_spacing_is_dropped(tmp_path):
    """How far the center of the first pixel moves nobody knows: 1 mm was reckoned with."""
    tags = {"ImagePositionPatient": [1, 2, 3], "ImageOrientationPatient": list(factory.AXIAL)}
    _, depths = _enlarged(tmp_path, tags)
    assert not any("ImagePositionPatient" in item for _, item in depths)
    assert "positions without directions and pixel spacing" in depths[0][1].DerivationDescription


def test_a_slide_moves_at_its_first_pixel_and_not_at_its_center():
    made, origin, center = factory.dataset(), Dataset(), Dataset()
    for item in (origin, center):
        item.XOffsetInSlideCoordinateSystem, item.YOffsetInSlideCoordinateSystem = 5, 7
    made.ImageOrientationSlide, made.PixelSpacing = [0, -1, 0, -1, 0, 0], [0.008, 0.004]
    made.TotalPixelMatrixOriginSequence = [origin]
    made.ImageCenterPointCoordinatesSequence = [center]
    rescale_geometry(made, (4, 4))
    moved = [origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem]
    np.testing.assert_allclose(_numbers(moved), [5.003, 7.0015])
    assert center.XOffsetInSlideCoordinateSystem == 5


def test_rounded_direction_cosines_are_set_right(tmp_path):
    source = factory.write(
        tmp_path / "a.dcm",
        **factory.located((0, 0, 0), (0.707, 0.707, 0, -0.707, 0.707, 0), (1, 1)),
    )
    enlarge(source, tmp_path / "o.dcm", 2)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        _numbers(new.ImageOrientationPatient), [half, half, 0, -half, half, 0]
    )
    # A quarter of a pixel outwards along both axes.
    np.testing.assert_allclose(_numbers(new.ImagePositionPatient), [0, -half / 2, 0], atol=1e-12)


def test_units_of_the_display_stay(tmp_path):
    text, graphic = Dataset(), Dataset()
    text.AnchorPointAnnotationUnits, text.AnchorPoint = "DISPLAY", [0.5, 0.25]
    graphic.GraphicAnnotationUnits, graphic.GraphicData = "PIXEL", [1, 2, 3, 4]
    shown = Dataset()
    shown.TextObjectSequence, shown.GraphicObjectSequence = [text], [graphic]
    _, depths = _enlarged(tmp_path, {"GraphicAnnotationSequence": [shown]})
    new = depths[0][1].GraphicAnnotationSequence[0]
    assert new.TextObjectSequence[0].AnchorPoint == [0.5, 0.25]
    assert new.GraphicObjectSequence[0].GraphicData == [4, 8, 12, 16]


def test_annotations_follow_to_the_result_and_those_of_others_stay(tmp_path):
    made = factory.dataset()
    own, other = (Dataset(), Dataset())
    for item, uid in ((own, made.SOPInstanceUID), (other, "1.2.3")):
        reference = Dataset()
        reference.ReferencedSOPClassUID = made.SOPClassUID
        reference.ReferencedSOPInstanceUID = uid
        item.ReferencedImageSequence = [reference]
        item.DisplayedAreaTopLeftHandCorner = [2, 2]
    made.DisplayedAreaSelectionSequence = [own, other]
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm")
    new = pydicom.dcmread(tmp_path / "o.dcm")
    own, other = new.DisplayedAreaSelectionSequence
    assert own.DisplayedAreaTopLeftHandCorner == [5, 5]
    assert own.ReferencedImageSequence[0].ReferencedSOPInstanceUID == new.SOPInstanceUID
    assert other.DisplayedAreaTopLeftHandCorner == [2, 2]
    assert other.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3"


def test_original_attributes_and_foreign_grids_stay(tmp_path):
    before, page = Dataset(), Dataset()
    before.PixelSpacing = [0.8, 0.4]
    page.Rows, page.Columns, page.PixelSpacing = 3, 3, [0.8, 0.4]
    history = Dataset()
    history.ModifiedAttributesSequence = [before]
    values = {"OriginalAttributesSequence": [history], "ReferencedImageSequence": [page]}
    _, depths = _enlarged(tmp_path, values)
    new = depths[0][1]
    past = new.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert past.PixelSpacing == new.ReferencedImageSequence[0].PixelSpacing == [0.8, 0.4]


def test_overlays_and_drawn_curves_go_and_signals_stay():
    made, item = factory.dataset(), Dataset()
    for place in (made, item):
        for group, kind in ((0x5000, "ROI"), (0x5002, "ECG")):
            place.add_new((group, 0x0020), "CS", kind)
            place.add_new((group, 0x3000), "OW", b"\1\0")
        place.add_new(0x60000010, "US", 6)
        place.add_new(0x60003000, "OW", b"\1\0")
        place.ShutterShape = ["CIRCULAR", "BITMAP"]
        place.ShutterOverlayGroup = 0x6000
    setattr(made, NEST, [item])
    note = rescale_geometry(made, (4, 4))
    assert note == "curves and overlays of the source are left out"
    for place in (made, item):
        assert {e.tag.group for e in place if 0x5000 <= e.tag.group < 0x7000} == {0x5002}
        assert place.ShutterShape == "CIRCULAR"
        assert "ShutterOverlayGroup" not in place


def test_unequal_enlargement_changes_the_shape_of_pixels():
    made = factory.dataset(PixelAspectRatio=[1, 1])
    rescale_geometry(made, (4, 2))
    assert made.PixelAspectRatio == [2, 1]  # half as wide as high


# For an enlargement by 4 of columns and by 2 of rows: before, after.
UNEQUAL = {
    "spacing": ([0.8, 0.4], [0.4, 0.1]),
    "column_spacing": ([0.8], [0.2]),
    "shift": ([0.5, -0.25], [1, -1]),
    "magnification": ([2], [0.5]),
    "row_count": ([3], [6]),
    "column_count": ([3], [12]),
    "first_column": ([3], [9]),
    "first_row": ([3], [5]),
    "last_column": ([5], [20]),
    "last_row": ([5], [10]),
    "first_corner": ([2, 3], [5, 5]),
    "last_corner": ([9, 6], [36, 12]),
    "row_column_points": ([2, 3], [3.5, 10.5]),
    "corner_points": ([2, 3], [8, 6]),
    "graphic": ([2.5, 3], [10, 6]),
    "subject_area": ([2, 3, 4], [8, 6, 16]),
    "column": ([2], [9.5]),
    "row": ([2], [4.5]),
    "column_from_1": ([2], [6.5]),
    "row_from_1": ([2], [3.5]),
}


@pytest.mark.parametrize("how", UNEQUAL)
def test_columns_and_rows_have_their_own_enlargement(how):
    old, new = UNEQUAL[how]
    np.testing.assert_allclose(_numbers(ARITHMETIC[how](old, (4, 2))), new)


@pytest.mark.parametrize(("offset", "is_kept"), [(8191, True), (8192, False)])
def test_what_its_representation_cannot_hold_is_dropped(offset, is_kept):
    made = factory.dataset(OCTZOffsetCorrection=offset)
    rescale_geometry(made, (4, 4))
    assert made.get("OCTZOffsetCorrection") == (4 * offset if is_kept else None)
