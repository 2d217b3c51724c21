"""Maps of uncertainty say the unit, the series and the number that are theirs."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from monai.transforms import LoadImage
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from monai_sr.core.errors import BadImageError, OutputError
from monai_sr.formats.dicom.map import check_map_size, write_parametric_map
from monai_sr.formats.dicom.reader import DicomReader
from monai_sr.formats.facts import Facts
from monai_sr.geometry import frame_planes
from tests import dicom_factory as factory

pytest.importorskip("highdicom")


def _map(tmp_path, name="a", **tags):
    result = factory.write(tmp_path / f"{name}.dcm", **tags)
    target = tmp_path / f"{name}_uncertainty.dcm"
    write_parametric_map(result, target, np.full((1, 9, 6), 2, np.float32), {})
    return pydicom.dcmread(target)


def _unit(made):
    groups = [*made.SharedFunctionalGroupsSequence, *made.PerFrameFunctionalGroupsSequence]
    (item,) = [g.RealWorldValueMappingSequence[0] for g in groups
               if "RealWorldValueMappingSequence" in g]  # fmt: skip
    return item.MeasurementUnitsCodeSequence[0].CodeValue


@pytest.mark.parametrize(
    ("rescale_type", "unit"),
    [(None, "[hnsf'U]"), ("", "[hnsf'U]"), ("HU", "[hnsf'U]"), ("MGML", "1"), ("US", "1")],
)
def test_ct_is_in_hounsfield_units_unless_it_says_else(tmp_path, rescale_type, unit):
    tags = {} if rescale_type is None else {"RescaleType": rescale_type}
    assert _unit(_map(tmp_path, RescaleSlope=1, RescaleIntercept=0, **tags)) == unit


def test_map_of_a_long_description_still_says_what_it_is(tmp_path):
    """The result's own description has all 64 characters that there are."""
    made = _map(tmp_path, SeriesDescription="A" * 43 + ", super-resolution x4")
    assert made.SeriesDescription == "A" * 43 + ", super-, uncertainty"


def test_map_has_the_character_set_of_the_result(tmp_path):
    """With an empty first value, as files from Japan and Korea have it (C.12.1.1.2)."""
    name = "Yamada^Tarou=山田^太郎"
    made = _map(tmp_path, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name)
    assert list(made.SpecificCharacterSet) == ["", "ISO 2022 IR 87"]
    assert made.PatientName == name


def test_maps_of_projections_are_series_of_their_own(tmp_path):
    """A series has one frame of reference, and two exposures share none."""
    made = [_map(tmp_path, n, modality="XA", InstanceNumber=i) for i, n in enumerate("ab", 1)]
    assert len({each.FrameOfReferenceUID for each in made}) == 2
    assert len({each.SeriesInstanceUID for each in made}) == 2


def test_maps_of_one_series_have_numbers_of_their_own(tmp_path):
    places = [factory.located(place.round(9)) for place in factory.slice_positions(2)]
    made = [_map(tmp_path, f"{i}", InstanceNumber=i, **p) for i, p in enumerate(places, 1)]
    assert len({each.SeriesInstanceUID for each in made}) == 1
    assert [each.InstanceNumber for each in made] == [1, 2]


def test_frames_without_a_place_keep_the_pixel_measures_of_their_groups(tmp_path):
    """Objects such as OCT state their spacing in functional groups alone."""
    path = factory.write_enhanced(tmp_path / "a.dcm", factory.stored((3, 6, 9)), [(0, 0, 0)] * 3)
    source = pydicom.dcmread(path)
    for frame in source.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    source.save_as(path)
    write_parametric_map(path, tmp_path / "map.dcm", np.full((1, 9, 6, 3), 2, np.float32), {})
    groups = pydicom.dcmread(tmp_path / "map.dcm").SharedFunctionalGroupsSequence[0]
    measures = groups.PixelMeasuresSequence[0]
    assert measures.PixelSpacing == [0.7, 0.4]
    assert measures.SliceThickness == 2.5
    image = LoadImage(reader=DicomReader, image_only=True)(path)
    np.testing.assert_allclose(np.diag(image.affine)[:2], [0.4, 0.7])
    assert Facts(image.meta).unit_mm == 1


def test_frames_of_no_stack_have_pixel_measures_of_their_own(tmp_path):
    """Two stacks in one object differ in pixel spacing, and lie no fixed distance apart."""
    places = factory.slice_positions(4)
    path = factory.write_enhanced(tmp_path / "a.dcm", factory.stored((4, 6, 9)), places)
    source = pydicom.dcmread(path)
    source.FrameOfReferenceUID = "1.2.3"
    shared = source.SharedFunctionalGroupsSequence[0]
    for i, frame in enumerate(source.PerFrameFunctionalGroupsSequence):
        frame.PixelMeasuresSequence = [Dataset()]
        frame.PixelMeasuresSequence[0].PixelSpacing = [0.7, 0.4] if i < 2 else [1.4, 0.8]
        frame.PixelMeasuresSequence[0].SliceThickness = 2.5
    del shared.PixelMeasuresSequence
    source.save_as(path)
    write_parametric_map(path, tmp_path / "map.dcm", np.full((1, 9, 6, 4), 2, np.float32), {})
    made = pydicom.dcmread(tmp_path / "map.dcm")
    planes = frame_planes(made)
    assert [plane.spacing_mm for plane in planes] == [(0.7, 0.4)] * 2 + [(1.4, 0.8)] * 2
    np.testing.assert_allclose([plane.position for plane in planes], places, atol=1e-9)
    assert not [e for e in made.iterall() if e.keyword == "SpacingBetweenSlices"]
    assert {
        f.PixelMeasuresSequence[0].SliceThickness for f in made.PerFrameFunctionalGroupsSequence
    } == {2.5}


def test_map_is_refused_before_it_is_computed_where_pydicom_gives_decimals(monkeypatch):
    check_map_size("a.dcm", (1, 9, 6))
    monkeypatch.setattr(pydicom.config, "use_DS_decimal", True)
    with pytest.raises(OutputError, match=r"a\.dcm.*DS_decimal\(False\)"):
        check_map_size("a.dcm", (1, 9, 6))


def _with_raw(path, **tags):
    """Put values into a file as they are, valid or not; None takes one away."""
    dataset = pydicom.dcmread(path)
    for word, value in tags.items():
        tag = Tag(word)
        if value is None:
            del dataset[tag]
        else:
            raw = value.encode()
            dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(raw), raw, 0, False, True)
    dataset.save_as(path)
    return path


def test_map_copies_what_anonymizers_leave_in_the_tags_of_patient_and_study(tmp_path):
    tags = {
        "PatientSex": "REMOVED", "PatientBirthDate": "1950", "StudyDate": "19000",
        "StudyTime": "10:10:10", "SeriesNumber": "no",
    }  # fmt: skip
    path = factory.write(tmp_path / "a.dcm")
    _with_raw(path, **tags, StudyInstanceUID=None)
    write_parametric_map(path, tmp_path / "map.dcm", np.full((1, 9, 6), 2, np.float32), {})
    made = pydicom.dcmread(tmp_path / "map.dcm")
    assert made.PatientSex == "REMOVED"
    assert [made[word].value for word in ("PatientBirthDate", "StudyDate", "StudyTime")] == [
        "1950", "19000", "10:10:10",
    ]  # fmt: skip
    assert made.SeriesNumber == 1
    assert made.StudyInstanceUID == ""


def test_map_of_tags_that_are_no_numbers_is_refused_in_one_line(tmp_path):
    path = _with_raw(factory.write(tmp_path / "a.dcm"), RescaleSlope="none")
    with pytest.raises(BadImageError, match=r"map\.dcm: tags of the source must be valid.*leave"):
        write_parametric_map(path, tmp_path / "map.dcm", np.ones((1, 9, 6), np.float32), {})
