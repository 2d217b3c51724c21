"""Where DICOM pixels lie: tags against affines, and the affines against MONAI's own reader."""

from __future__ import annotations

import gdcm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import PydicomReader
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from monai_sr.formats.dicom.files import open_dicom
from monai_sr.geometry.dicom_plane import (
    Plane,
    flat_affine,
    frame_planes,
    item_plane,
    orthonormal,
    pixel_spacing,
    position_gaps,
    stack_affine,
)
from tests import dicom_factory as factory


def _plane(**changes):
    made = factory.dataset(**factory.located(**changes))
    return item_plane(made, made)


def test_columns_run_along_the_first_cosine():
    affine = _plane().affine_lps(np.zeros(3))
    np.testing.assert_allclose(affine[:3, 0], 0.4 * np.array([0.8, 0.6, 0.0]))
    np.testing.assert_allclose(affine[:3, 1], 0.7 * np.array([-0.48, 0.64, 0.6]))
    np.testing.assert_allclose(affine[:3, 3], [-30.5, 12.25, 7.0])


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "693_J2KI.dcm"])
def test_slice_affine_agrees_with_monai(name):
    path = get_testdata_file(name)
    ours = stack_affine(frame_planes(open_dicom(path)))
    reader = PydicomReader()
    _, meta = reader.get_data(reader.read(path))
    # MONAI puts a fixed unit vector where a lone slice has no neighbor: column 2 differs.
    np.testing.assert_allclose(ours[:, [0, 1, 3]], meta["affine"][:, [0, 1, 3]], atol=1e-9)


def test_axial_series_affine_agrees_with_monai(tmp_path):
    # MONAI measures steps along patient z alone, so its series must be axial.
    positions = factory.slice_positions(5, orientation=factory.AXIAL)
    volume = factory.stored((5, 6, 9))
    numbers = [(i + 1, *pair) for i, pair in enumerate(zip(volume, positions, strict=True))]
    for number, pixels, position in numbers:
        tags = factory.located(position, factory.AXIAL)
        factory.write(tmp_path / f"{number}.dcm", pixels, InstanceNumber=number, **tags)
    reader = PydicomReader()
    _, meta = reader.get_data(reader.read(tmp_path))
    files = [open_dicom(tmp_path / f"{i}.dcm") for i in range(1, 6)]
    ours = stack_affine([frame_planes(f)[0] for f in files])
    np.testing.assert_allclose(ours, meta["affine"], atol=1e-9)


def test_missing_slices_do_not_stretch_the_step():
    places = factory.slice_positions(6)[[0, 1, 2, 3, 5]]
    planes = [_plane(position=[round(v, 9) for v in p]) for p in places]
    step = np.linalg.norm(stack_affine(planes)[:3, 2])
    assert step == pytest.approx(2.5, abs=1e-6)
    np.testing.assert_allclose(position_gaps(planes), [2.5, 2.5, 2.5, 5.0], atol=1e-6)


def test_gantry_tilt_stays_as_shear():
    first = _plane(position=(0, 0, 0), orientation=factory.AXIAL)
    last = _plane(position=(0, 3, 10), orientation=factory.AXIAL)
    np.testing.assert_allclose(stack_affine([first, last])[:3, 2], [0, -3, 10])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PixelSpacing": [0.3, 0.2], "ImagerPixelSpacing": [0.6, 0.5]}, (0.3, 0.2)),
        ({"ImagerPixelSpacing": [0.6, 0.5]}, (0.6, 0.5)),
        ({"NominalScannedPixelSpacing": [0.9, 0.8]}, (0.9, 0.8)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.6, 0.5]}, (0.6, 0.5)),
        ({"PixelSpacing": [0.3]}, (0.3, 0.3)),
        ({"PixelSpacing": "", "ImagerPixelSpacing": 0.5}, (0.5, 0.5)),
        ({}, None),
    ],
)
def test_first_usable_spacing_counts(tags, expected):
    assert pixel_spacing(factory.dataset(modality="DX", **tags)) == expected


@pytest.mark.parametrize(
    ("sequence", "keyword"),
    [
        ("FramePixelDataPropertiesSequence", "ImagerPixelSpacing"),
        ("ProjectionPixelCalibrationSequence", "ObjectPixelSpacingInCenterOfBeam"),
    ],
)
def test_enhanced_angiography_says_its_spacing(sequence, keyword):
    item, group = Dataset(), Dataset()
    setattr(item, keyword, [0.25, 0.5])
    setattr(group, sequence, [item])
    made = factory.dataset(modality="XA", SharedFunctionalGroupsSequence=[group])
    assert pixel_spacing(made) == (0.25, 0.5)


def test_ultrasound_spacing_comes_from_its_region():
    path = get_testdata_file("examples_palette.dcm")
    region = open_dicom(path).SequenceOfUltrasoundRegions[0]
    expected = (10 * region.PhysicalDeltaY, 10 * region.PhysicalDeltaX)
    assert pixel_spacing(open_dicom(path)) == pytest.approx(expected)


def test_images_without_place_keep_their_spacing():
    np.testing.assert_array_equal(flat_affine((0.3, 0.2)), np.diag([0.2, 0.3, 1, 1]))
    np.testing.assert_array_equal(flat_affine(None), np.eye(4))


def test_frames_of_an_enhanced_object_have_their_own_planes(tmp_path):
    positions = factory.slice_positions(3)
    path = factory.write_enhanced(tmp_path / "e.dcm", factory.stored((3, 6, 9)), positions)
    planes = frame_planes(open_dicom(path))
    np.testing.assert_allclose([p.position for p in planes], positions, atol=1e-9)
    assert {p.spacing_mm for p in planes} == {(0.7, 0.4)}


def test_dose_frames_follow_their_offsets():
    planes = frame_planes(open_dicom(get_testdata_file("rtdose.dcm")))
    dose = open_dicom(get_testdata_file("rtdose.dcm"))
    heights = np.array([p.height_mm for p in planes])
    np.testing.assert_allclose(heights - heights[0], [float(v) for v in dose.GridFrameOffsetVector])


def _nuclear(vector, **tags):
    """Build four frames of nuclear medicine, whose detector says where the first one lies."""
    detector = Dataset()
    detector.ImagePositionPatient = [1, 2, 100]
    detector.ImageOrientationPatient = list(factory.AXIAL)
    made = factory.dataset(factory.stored((4, 6, 9)), PixelSpacing=[2, 3], **tags)
    made.SOPClassUID, made.Modality = "1.2.840.10008.5.1.4.1.1.20", "NM"
    made.FrameIncrementPointer = vector
    made.DetectorInformationSequence = [detector]
    return made


@pytest.mark.parametrize("step", [4.5, -4.5])
def test_the_sign_of_their_distance_tells_where_slices_of_spect_are_stacked(tmp_path, step):
    made = _nuclear(0x00540080, SpacingBetweenSlices=step, SliceVector=[1, 2, 3, 4])
    made.save_as(tmp_path / "nm.dcm", enforce_file_format=True)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(tmp_path / "nm.dcm"))
    assert reader.Read()
    expected = reader.GetImage().GetOrigin(2) + np.arange(4) * reader.GetImage().GetSpacing(2)
    np.testing.assert_allclose([p.height_mm for p in frame_planes(made)], expected)
    assert stack_affine(frame_planes(made))[2, 2] == pytest.approx(step)


def test_gated_slices_lie_where_their_numbers_say():
    tags = {"SpacingBetweenSlices": -4, "SliceVector": [1, 2, 1, 2], "TimeSlotVector": [1, 1, 2, 2]}
    planes = frame_planes(_nuclear([0x00540070, 0x00540080], **tags))
    assert [p.height_mm for p in planes] == [100, 96, 100, 96]


@pytest.mark.parametrize("vector", [[0x00540010, 0x00540020], 0x00540090])
def test_detectors_and_angles_are_no_slices(vector):
    assert frame_planes(_nuclear(vector, SpacingBetweenSlices=4)) == [None] * 4


def test_broken_orientation_is_ignored():
    made = factory.dataset(**factory.located(orientation=(0, 0, 0, 0, 0, 0)))
    assert frame_planes(made) == [None]


@settings(max_examples=30, deadline=None)
@given(st.floats(0.05, 3), st.floats(0.05, 3), st.sampled_from([2, 3, 4]), st.integers(1, 99))
def test_outer_corners_stay_in_place(rows_mm, columns_mm, scale, size):
    plane = _plane(spacing=(rows_mm, columns_mm))
    spacing = (plane.spacing_mm[0] / scale, plane.spacing_mm[1] / scale)
    new = Plane(plane.scaled_position((scale, scale)), plane.across, plane.down, spacing)
    for old_corner, new_corner in ((-0.5, -0.5), (size - 0.5, size * scale - 0.5)):
        old_mm = plane.affine_lps(plane.normal) @ [old_corner, old_corner, 0, 1]
        new_mm = new.affine_lps(new.normal) @ [new_corner, new_corner, 0, 1]
        np.testing.assert_allclose(new_mm, old_mm, atol=1e-9)


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
def test_rounded_directions_become_unit_vectors_at_right_angles(decimals):
    angle = np.radians(50)
    exact = np.array([np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0])
    found = np.concatenate(orthonormal(exact.round(decimals)))
    pair = found.reshape(2, 3)
    np.testing.assert_allclose(pair @ pair.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(found, exact, atol=0.6 * 10.0**-decimals)


def test_exact_directions_stay_bit_for_bit():
    exact = np.array(factory.OBLIQUE)
    assert np.concatenate(orthonormal(exact)).tolist() == exact.tolist()


@pytest.mark.parametrize(("length", "is_usable"), [(0.952, True), (0.945, False), (0.93, False)])
def test_vectors_may_be_short_by_what_one_decimal_rounds(length, is_usable):
    """Squared lengths may be off by a tenth, which is 0.0513 of a length below one."""
    found = orthonormal(np.array([length, 0, 0, 0, 1, 0]))
    assert (found is not None) == is_usable
    if found is not None:
        np.testing.assert_allclose(np.stack(found), np.eye(3)[:2], atol=1e-12)


@pytest.mark.parametrize(("cosine", "is_usable"), [(0.049, True), (0.06, False)])
def test_axes_may_miss_the_right_angle_by_little(cosine, is_usable):
    down = [cosine, np.sqrt(1 - cosine**2), 0]
    assert (orthonormal(np.array([1, 0, 0, *down])) is not None) == is_usable
