"""Slices of one grid are parted by what their values mean, at any number of positions."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from monai_sr.formats.dicom.files import quiet_pydicom
from monai_sr.formats.dicom.series import find_volumes
from tests import dicom_factory as factory

PLACES = [[round(float(v), 10) for v in place] for place in factory.slice_positions(4)]
GE_RAW = 0x0043102F


def _write(path, place, number, *, private=(), **tags):
    made = factory.dataset(
        factory.stored((6, 9), seed=number), modality="MR", InstanceNumber=number,
        **factory.located(place), **tags,
    )  # fmt: skip
    if private:
        made.add_new(0x00430010, "LO", "GEMS_PARM_01")
    for tag, representation, value in private:
        made.add_new(tag, representation, value)
    made.save_as(path, enforce_file_format=True)


def _labels(folder):
    return {v.label: [path.stem for path in v.paths] for v in find_volumes(folder)}


@pytest.mark.parametrize("first", ["M", "P"])
def test_magnitude_and_phase_of_one_position_are_two_images(tmp_path, first):
    """A phase-contrast cine: three times of each, at one place."""
    kinds = [first] * 3 + ["P" if first == "M" else "M"] * 3
    for i, kind in enumerate(kinds):
        types = ["ORIGINAL", "PRIMARY", kind, "ND"]
        _write(tmp_path / f"{kind}{i}.dcm", PLACES[0], i, ImageType=types, TriggerTime=40 * (i % 3))
    found = _labels(tmp_path)
    assert {label: len(names) for label, names in found.items()} == {"m": 3, "p": 3}
    assert all({name[0].lower() for name in names} == {label} for label, names in found.items())


@pytest.mark.parametrize("component", ["PHASE", "REAL"])
def test_complex_image_components_are_told_apart(tmp_path, component):
    for i, kind in enumerate(["MAGNITUDE", "MAGNITUDE", component, component]):
        _write(tmp_path / f"{i}.dcm", PLACES[i % 2], i, ComplexImageComponent=kind)
    groups = sorted(_labels(tmp_path).values())
    assert groups == [["0", "1"], ["2", "3"]]


@pytest.mark.parametrize("lost", [None, 0, 5])
def test_parts_of_a_complex_series_of_ge_never_mix(tmp_path, lost):
    """Magnitude, phase, real and imaginary part at each place, one lost in transfer or none."""
    number = 0
    for place in PLACES:
        for kind in range(4):
            if number != lost:
                path = tmp_path / f"{number:02d}.dcm"
                _write(path, place, number, private=[(GE_RAW, "SS", kind)])
            number += 1
    kinds = [{pydicom.dcmread(p)[GE_RAW].value for p in v.paths} for v in find_volumes(tmp_path)]
    assert sorted(kinds, key=min) == [{0}, {1}, {2}, {3}]


def test_a_cine_of_one_meaning_stays_one_image(tmp_path):
    for i in range(3):
        _write(tmp_path / f"{i}.dcm", PLACES[0], i, private=[(GE_RAW, "SS", 0)], TriggerTime=i)
    assert [len(names) for names in _labels(tmp_path).values()] == [3]


@pytest.mark.parametrize("tag", [0x00431039, 0x0019100C, GE_RAW, 0x00180081])
@pytest.mark.parametrize("representation", ["IS", "LO", "DS"])
def test_text_in_place_of_a_number_stops_no_search(tmp_path, tag, representation):
    """De-identification writes "REMOVED" into private elements; some write a decimal comma."""
    for i in range(4):
        path = tmp_path / f"{i}.dcm"
        made = factory.dataset(modality="MR", InstanceNumber=i, **factory.located(PLACES[i % 2]))
        made.add_new(0x00430010, "LO", "GEMS_PARM_01")
        with quiet_pydicom():
            made[tag] = RawDataElement(Tag(tag), representation, 8, b"REMOVED ", 0, False, True)
            made.save_as(path, enforce_file_format=True)
    assert [len(names) for names in _labels(tmp_path).values()] == [2, 2]


def test_b_values_of_ge_are_read_where_their_representation_is_unknown(tmp_path):
    for i in range(4):
        value = b"1000000050\\8\\0\\0 " if i < 2 else b"1000001000\\8\\0\\0 "
        _write(tmp_path / f"{i}.dcm", PLACES[i % 2], i, private=[(0x00431039, "UN", value)])
    assert _labels(tmp_path) == {"b50": ["0", "1"], "b1000": ["2", "3"]}
