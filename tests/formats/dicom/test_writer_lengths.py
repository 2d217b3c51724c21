"""Lengths by the tags alone are the same before and after, at any spacing and orientation."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from monai_sr.formats.dicom.files import format_ds
from monai_sr.formats.dicom.geometry import rescale_geometry
from tests import dicom_factory as factory
from tests.dicom_factory import enlarge

TOLERANCE_MM = 1e-6

spacings = st.tuples(st.floats(0.01, 5), st.floats(0.01, 5))
angles = st.tuples(*[st.floats(-3.14, 3.14)] * 3)
places = st.tuples(*[st.floats(-2000, 2000)] * 3)
# (column, row) in pixels of a large detector, fractions included.
landmarks = st.tuples(st.floats(-0.5, 4095.5), st.floats(-0.5, 4095.5))
scales = st.sampled_from([2, 3, 4])


def _cosines(angles_rad):
    """Turn the axial orientation by three angles; two unit vectors at right angles."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(angles_rad), np.sin(angles_rad)
    turn = (
        np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
        @ np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
        @ np.array([[1, 0, 0], [0, cc, -sc], [0, sc, cc]])
    )
    return [*turn[:, 0], *turn[:, 1]]


def _ds(values):
    return [format_ds(float(v)) for v in values]


def _rescaled(made, scale):
    """Rescale, write and read again: decimal strings are rounded on the way."""
    rescale_geometry(made, (scale, scale))
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream)


def _moved(point, scale):
    """Name the same place in pixels of the result, whose outer edges are those of the source."""
    return tuple((v + 0.5) * scale - 0.5 for v in point)


def _in_plane(item, keyword, point):
    rows_mm, columns_mm = (float(v) for v in item[keyword].value)
    return np.array([point[0] * columns_mm, point[1] * rows_mm])


def _in_patient(position, orientation, spacing, point):
    """PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1."""
    across, down = np.array([float(v) for v in orientation]).reshape(2, 3)
    rows_mm, columns_mm = (float(v) for v in spacing)
    start = np.array([float(v) for v in position])
    return start + across * columns_mm * point[0] + down * rows_mm * point[1]


@pytest.mark.parametrize(
    ("modality", "keyword"),
    [
        ("CR", "ImagerPixelSpacing"),
        ("DX", "PixelSpacing"),
        ("SC", "NominalScannedPixelSpacing"),
    ],
)
@settings(max_examples=60, deadline=None)
@given(spacing=spacings, scale=scales, a=landmarks, b=landmarks)
def test_lengths_in_projections_stay(modality, keyword, spacing, scale, a, b):
    old = factory.dataset(modality=modality, **{keyword: _ds(spacing)})
    before = np.linalg.norm(_in_plane(old, keyword, a) - _in_plane(old, keyword, b))
    new = _rescaled(old, scale)
    ends = [_in_plane(new, keyword, _moved(point, scale)) for point in (a, b)]
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(before, rel=0, abs=TOLERANCE_MM)


@settings(max_examples=100, deadline=None)
@given(spacing=spacings, turn=angles, place=places, scale=scales, a=landmarks, b=landmarks)
def test_lengths_and_places_in_cross_sections_stay(spacing, turn, place, scale, a, b):
    tags = factory.located(_ds(place), _ds(_cosines(turn)), _ds(spacing))
    old = factory.dataset(**tags)
    plane = (old.ImagePositionPatient, old.ImageOrientationPatient, old.PixelSpacing)
    before = [_in_patient(*plane, point) for point in (a, b)]
    new = _rescaled(old, scale)
    plane = (new.ImagePositionPatient, new.ImageOrientationPatient, new.PixelSpacing)
    after = [_in_patient(*plane, _moved(point, scale)) for point in (a, b)]
    np.testing.assert_allclose(after, before, rtol=0, atol=TOLERANCE_MM)
    lengths = [np.linalg.norm(ends[0] - ends[1]) for ends in (before, after)]
    assert lengths[1] == pytest.approx(lengths[0], rel=0, abs=TOLERANCE_MM)


@settings(max_examples=60, deadline=None)
@given(spacing=spacings, turn=angles, place=places, scale=scales, a=landmarks, b=landmarks)
def test_lengths_between_frames_of_enhanced_objects_stay(spacing, turn, place, scale, a, b):
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = _ds(spacing)
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = _ds(_cosines(turn))
    for shift in (0.0, 3.5):
        frames.append(Dataset())
        frames[-1].PlanePositionSequence = [Dataset()]
        moved = np.array(place) + shift
        frames[-1].PlanePositionSequence[0].ImagePositionPatient = _ds(moved)
    old = factory.dataset(
        factory.stored((2, 6, 9)),
        modality="MR enhanced",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )
    before = _between_frames(old, a, b)
    after = _between_frames(_rescaled(old, scale), _moved(a, scale), _moved(b, scale))
    assert after == pytest.approx(before, rel=0, abs=TOLERANCE_MM)


def _between_frames(dataset, a, b):
    shared = dataset.SharedFunctionalGroupsSequence[0]
    ends = [
        _in_patient(
            frame.PlanePositionSequence[0].ImagePositionPatient,
            shared.PlaneOrientationSequence[0].ImageOrientationPatient,
            shared.PixelMeasuresSequence[0].PixelSpacing,
            point,
        )
        for frame, point in zip(dataset.PerFrameFunctionalGroupsSequence, (a, b), strict=True)
    ]
    return float(np.linalg.norm(ends[0] - ends[1]))


@pytest.fixture
def decimals():
    """Have pydicom give decimals in place of floats, as a program around us may have asked."""
    pydicom.config.DS_decimal(True)
    yield
    pydicom.config.DS_decimal(False)


def test_tags_are_the_same_where_a_program_has_asked_pydicom_for_decimals(tmp_path, request):
    tags = factory.located(factory.slice_positions(1)[0]) | {"WindowCenter": 40, "WindowWidth": 400}
    source = factory.write(tmp_path / "a.dcm", RescaleSlope=1, RescaleIntercept=-1024, **tags)
    enlarge(source, tmp_path / "float.dcm", 3)
    request.getfixturevalue("decimals")
    enlarge(source, tmp_path / "decimal.dcm", 3)
    made, reference = (pydicom.dcmread(tmp_path / f"{kind}.dcm") for kind in ("decimal", "float"))
    numbers = {e.keyword: str(e.value) for e in reference if e.VR == "DS"}
    assert {e.keyword: str(e.value) for e in made if e.VR == "DS"} == numbers
    assert {"PixelSpacing", "ImagePositionPatient", "RescaleSlope", "WindowWidth"} <= set(numbers)
