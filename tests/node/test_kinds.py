"""Kinds of objects: what is enlarged, and what is passed by."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID_dictionary

from monai_sr.node.kinds import kind_of_object
from tests.node_factory import file_bytes, image

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_IMAGES = {
    "1", "1.1", "1.1.1", "1.2", "1.3", "2", "2.1", "3.1", "4", "4.1", "6.1", "6.2", "7", "7.1",
    "7.2", "7.3", "7.4", "12.1", "12.1.1", "12.2", "12.2.1", "13.1.1", "13.1.2", "13.1.3", "14.1",
    "20", "77.1.1", "77.1.2", "77.1.4", "77.1.5.1", "128", "130", "481.1",
}  # fmt: skip
"""SOP classes whose objects are images to enlarge: what follows the root of storage."""


def kind(folder: Path, made: pydicom.Dataset) -> str:
    file = folder / "a.dcm"
    file.write_bytes(file_bytes(made))
    return kind_of_object(file)


@pytest.mark.parametrize("end", sorted(_IMAGES))
def test_images_are_enlarged(tmp_path, end) -> None:
    assert f"{_STORAGE}{end}" in UID_dictionary
    assert kind(tmp_path, image(SOPClassUID=f"{_STORAGE}{end}")) == ""


@pytest.mark.parametrize(
    "words",
    [
        "SR Storage",
        "Presentation State",
        "Segmentation Storage",
        "Waveform",
        "Encapsulated",
        "Video",
        "Spectroscopy",
    ],
)
def test_whole_families_are_passed_by(tmp_path, words) -> None:
    found = [uid for uid, (name, *_) in UID_dictionary.items() if words in name]
    found = [uid for uid in found if uid.startswith(_STORAGE)]
    assert found
    assert [uid for uid in found if not kind(tmp_path, image(SOPClassUID=uid))] == []


def test_an_object_without_rows_is_no_image_unless_its_class_says_so(tmp_path) -> None:
    made = image()
    del made.Rows
    assert kind(tmp_path, made) == ""  # damaged: it goes to quarantine with the reason
    made.SOPClassUID = f"{_STORAGE}66.9.9"
    assert kind(tmp_path, made) == "no image"


def test_what_another_maker_derived_is_an_image(tmp_path) -> None:
    item = pydicom.Dataset()
    item.Manufacturer = "Somebody"
    made = image(ImageType=["DERIVED", "SECONDARY"], ContributingEquipmentSequence=[item])
    assert kind(tmp_path, made) == ""
    item.Manufacturer = "monai-sr"
    assert kind(tmp_path, made) == "own result"


def test_a_broken_header_is_left_to_who_enlarges(tmp_path) -> None:
    file = tmp_path / "a.dcm"
    whole = file_bytes(image(ContributingEquipmentSequence=[pydicom.Dataset()]))
    file.write_bytes(whole.replace(b"CS\x18\0ORIGINAL", b"CS\xff\xffORIGINAL"))
    assert kind_of_object(file) == ""
