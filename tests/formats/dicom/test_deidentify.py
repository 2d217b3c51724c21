"""De-identified DICOM results: no trace of the patient, series together, values untouched."""

from __future__ import annotations

import logging

import numpy as np
import pydicom
import pytest
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from monai_sr.core.errors import OptionError
from monai_sr.formats.dicom.deidentify import deidentify, read_key
from monai_sr.formats.dicom.files import quiet_pydicom
from tests import dicom_factory as factory
from tests.dicom_factory import enlarge

DEIDENTIFY = {"deidentify": True}
# A word that fits every text representation, and a date and a number that are nobody else's.
SECRET, DATE, NUMBER = "JANEDOE", "19870615", "471193"


def _identified(**tags):
    """Give an object that names the patient in all places that PS3.15 knows."""
    made = factory.dataset(**factory.located(), **tags)
    made.PatientName = f"{SECRET}^A"
    made.PatientID = made.AccessionNumber = made.StudyID = NUMBER
    made.PatientBirthDate = made.StudyDate = made.SeriesDate = made.ContentDate = DATE
    made.AcquisitionDateTime = f"{DATE}101112"
    made.OtherPatientIDs = [NUMBER, SECRET]
    for keyword in (
        "ReferringPhysicianName", "InstitutionName", "InstitutionAddress", "StationName",
        "StudyDescription", "SeriesDescription", "ImageComments", "PatientComments",
        "OperatorsName", "ProtocolName", "DeviceSerialNumber", "DerivationDescription",
        "RequestedProcedureDescription", "AdmissionID", "DetectorID", "Occupation",
    ):  # fmt: skip
        setattr(made, keyword, SECRET)
    private = made.private_block(0x0029, "VENDOR", create=True)
    private.add_new(0x10, "LO", SECRET)
    made.add_new(0x60000040, "CS", "G")
    made.add_new(0x60004000, "LT", SECRET)  # Overlay Comments, a repeating group
    made.add_new(0x00091001, "UN", SECRET.encode())
    nested = Dataset()
    nested.PersonName = nested.ContentCreatorName = SECRET
    nested.ReferencedSOPInstanceUID = made.SOPInstanceUID
    nested.ReferencedSOPClassUID = made.SOPClassUID
    deep = Dataset()
    deep.PatientName = deep.OperatorsName = SECRET
    deep.InstanceCreationDate = DATE
    nested.ReferencedInstanceSequence = [deep]
    made.ReferencedImageSequence = [nested]
    request = Dataset()
    request.RequestedProcedureID = request.ScheduledProcedureStepDescription = SECRET
    made.RequestAttributesSequence = [request]
    made.preamble = SECRET.encode().ljust(128, b"\0")
    made.file_meta.SourceApplicationEntityTitle = SECRET
    return made


def test_nothing_of_the_patient_is_left_in_the_bytes(tmp_path):
    made = _identified()
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    old = {made[k].value for k in ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")}
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm", options=DEIDENTIFY)
    written = (tmp_path / "o.dcm").read_bytes()
    for secret in (SECRET, DATE, NUMBER, "VENDOR", *factory.SECRETS[:2], *old):
        assert secret.encode() not in written, secret
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert not [e for e in new.iterall() if e.tag.is_private]


def test_the_result_says_how_it_was_deidentified(tmp_path):
    _identified().save_as(tmp_path / "a.dcm", enforce_file_format=True)
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm", options=DEIDENTIFY)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert new.PatientIdentityRemoved == "YES"
    assert new.LongitudinalTemporalInformationModified == "REMOVED"
    assert new.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert "not for primary diagnosis" in new.DerivationDescription
    assert new.ContributingEquipmentSequence[0].SoftwareVersions[1] == "ab" * 32


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "examples_ybr_color.dcm"])
def test_pixels_and_geometry_are_those_of_the_plain_result(tmp_path, name):
    source = get_testdata_file(name)
    enlarge(source, tmp_path / "a.dcm", 2)
    enlarge(source, tmp_path / "b.dcm", 2, options=DEIDENTIFY)
    plain, hidden = (pydicom.dcmread(tmp_path / f"{n}.dcm") for n in "ab")
    np.testing.assert_array_equal(hidden.pixel_array, plain.pixel_array)
    kept = (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
        "RescaleSlope", "RescaleIntercept", "WindowCenter", "KVP", "EchoTime", "Modality",
        "BitsStored", "ImageType", "SequenceOfUltrasoundRegions",
    )  # fmt: skip
    for keyword in kept:
        assert hidden.get(keyword) == plain.get(keyword), keyword
    assert str(hidden.get("PatientName")) != str(plain.get("PatientName"))


def test_series_stay_together_and_studies_apart(tmp_path):
    source = factory.write_series(tmp_path / "s")
    other = factory.write(tmp_path / "x.dcm", modality="DX", SeriesInstanceUID="1.2.3")
    foreign = factory.write(tmp_path / "y.dcm", modality="DX", StudyInstanceUID="1.2.4")
    enlarge(source, tmp_path / "o", options=DEIDENTIFY)
    enlarge(other, tmp_path / "ox.dcm", options=DEIDENTIFY)
    enlarge(foreign, tmp_path / "oy.dcm", options=DEIDENTIFY)
    slices = [pydicom.dcmread(p) for p in sorted((tmp_path / "o").iterdir())]
    same, apart = (pydicom.dcmread(tmp_path / n) for n in ("ox.dcm", "oy.dcm"))
    assert len({s.SOPInstanceUID for s in slices}) == len(slices)
    for keyword in ("SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert len({s[keyword].value for s in slices}) == 1
    assert slices[0].SeriesInstanceUID != same.SeriesInstanceUID
    assert slices[0].StudyInstanceUID == same.StudyInstanceUID != apart.StudyInstanceUID
    assert slices[0].PatientID == same.PatientID != apart.PatientID


def test_references_follow_the_new_uids():
    made = _identified()
    deidentify(made, "a.dcm")
    assert made.ReferencedImageSequence[0].ReferencedSOPInstanceUID == made.SOPInstanceUID
    assert made.ReferencedImageSequence[0].ReferencedSOPClassUID == made.SOPClassUID


def test_equal_inputs_give_equal_files(tmp_path):
    source = get_testdata_file("CT_small.dcm")
    for i in (1, 2):
        enlarge(source, tmp_path / f"{i}.dcm", 2, options=DEIDENTIFY)
    assert (tmp_path / "1.dcm").read_bytes() == (tmp_path / "2.dcm").read_bytes()


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"BurnedInAnnotation": "YES"}, "hold text"),
        ({"modality": "US"}, "may hold text"),
        ({"modality": "US", "BurnedInAnnotation": "NO"}, ""),
        ({}, ""),
    ],
)
def test_text_in_the_pixels_is_warned_of(tmp_path, tags, words, caplog):
    source = factory.write(tmp_path / "a.dcm", **tags)
    with caplog.at_level(logging.WARNING, logger="monai_sr"):
        enlarge(source, tmp_path / "o.dcm", options=DEIDENTIFY)
    assert words in caplog.text
    assert bool(caplog.text) == bool(words)


def _valued(tags):
    """Build a dataset that has a telling value for every one of the tags."""
    values = {
        "DA": DATE, "DT": f"{DATE}101112", "TM": "101112", "AS": "047Y", "DS": NUMBER, "IS": NUMBER,
        "UI": f"1.2.{NUMBER}", "OB": SECRET.encode(), "UN": SECRET.encode(),
    }  # fmt: skip
    numbers = dict.fromkeys(("US", "SS", "UL", "SL", "FL", "FD"), 471)
    made = Dataset()
    for group, element, *_ in tags:
        tag = Tag(group, element)
        if group > 2 and dictionary_has_tag(tag) and dictionary_VR(tag) != "SQ":
            vr = dictionary_VR(tag)
            made.add_new(tag, vr, {**values, **numbers}.get(vr, SECRET))
    return made


def test_every_attribute_of_the_standards_table_is_treated_at_every_depth():
    tags = dicom_anonymization_database_selector("dicomfields_2026c")["ALL_TAGS"]
    made = factory.dataset()
    made.update(_valued(tags))
    made.AnatomicRegionSequence = [_valued(tags)]  # a sequence that the table keeps
    made.AnatomicRegionSequence[0].ConceptCodeSequence = [_valued(tags)]
    assert len(made) > 500
    deidentify(made, "a.dcm")
    depths = (
        made,
        made.AnatomicRegionSequence[0],
        made.AnatomicRegionSequence[0].ConceptCodeSequence[0],
    )
    # PS3.15 E.1: none of the values may stay; what is left is empty, a dummy or a new UID.
    for item in depths:
        left = {e.keyword: str(e.value) for e in item if e.VR not in ("SQ", "OW")}
        told = {k for k, v in left.items() if SECRET in v or DATE in v or NUMBER in v}
        assert not told
        assert "PatientAge" not in left


def test_a_key_gives_hashes_that_nobody_else_can_compute(tmp_path):
    (tmp_path / "key").write_text("0123456789abcdef\n")
    key = read_key(tmp_path / "key", True)
    assert key == b"0123456789abcdef"
    source = factory.write_series(tmp_path / "s")
    for name, own in (("plain", b""), ("one", key), ("again", key), ("other", key + b"1")):
        enlarge(source, tmp_path / name, options={"deidentify": True, "deidentify_key": own})
    made = {
        name: pydicom.dcmread(tmp_path / name / "slice_0001.dcm")
        for name in ("plain", "one", "again", "other")
    }
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID"):
        found = [made[name][keyword].value for name in made]
        assert found[1] == found[2]
        assert len({*found}) == 3
    slices = [pydicom.dcmread(p) for p in sorted((tmp_path / "one").iterdir())]
    assert len({s.SeriesInstanceUID for s in slices}) == 1


@pytest.mark.parametrize(
    ("content", "is_asked", "words"),
    [
        ("short", True, "openssl rand"),
        (None, True, "check the path"),
        ("x" * 16, False, "add that"),
    ],
)
def test_a_key_that_is_none_is_refused(tmp_path, content, is_asked, words):
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(OptionError, match=words):
        read_key(tmp_path / "key", is_asked)


def test_every_uid_but_those_of_classes_is_replaced():
    made = factory.dataset()
    made.ConcatenationUID = made.TrackingUID = made.FailedSOPInstanceUIDList = "1.2.3.4"
    made.RelatedGeneralSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.ContextUID = "1.2.840.10008.6.1.1"
    deidentify(made, "a.dcm")
    assert made.ConcatenationUID == made.TrackingUID != "1.2.3.4"
    assert made.RelatedGeneralSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert made.SOPClassUID == factory.dataset().SOPClassUID


def test_registered_uids_and_private_classes_name_nobody():
    atlas = "1.2.840.10008.1.4.1.1"  # the frame of reference of Talairach's
    made = factory.dataset(FrameOfReferenceUID=atlas, SOPClassUID="1.2.3.4.5")
    made.SynchronizationFrameOfReferenceUID = "1.2.3.4.6"
    deidentify(made, "a.dcm")
    assert made.FrameOfReferenceUID == atlas
    assert made.SOPClassUID == "1.2.3.4.5"
    assert made.SynchronizationFrameOfReferenceUID != "1.2.3.4.6"


@pytest.mark.parametrize(
    ("value", "stays"),
    [("g/ml", True), ("kBq/ml", True), ("ug/ml", True), ("10*-6.mm2/s", True), ("/min", True),
     ("1/s", True), ("mmol/l", True), ("Jane", False), ("{Jane}g/ml", False), ("12/3/1985", False),
     ("19850312", False), ("Doe.Jane", False)],
)  # fmt: skip
def test_units_of_ucum_stay_and_free_text_in_their_place_goes(value, stays):
    made = factory.dataset()
    made.MeasurementUnitsCodeSequence = [factory.code(value, "UCUM", "what Jane measured")]
    deidentify(made, "a.dcm")
    (code,) = made.MeasurementUnitsCodeSequence
    expected = (value, "UCUM") if stays else ("ANONYMIZED", "99ANON")
    assert (code.CodeValue, code.CodingSchemeDesignator) == expected
    assert "Jane" not in code.CodeMeaning


def test_equipment_and_public_codes_stay_with_their_own_meaning():
    made = factory.dataset(Manufacturer="SIEMENS Healthineers", ConvolutionKernel="Br40d")
    made.ManufacturerModelName, made.SoftwareVersions = "SOMATOM Definition", "Jane's 4.1"
    public = factory.code("51185008", "SCT", "chest of Jane")
    local = factory.code("4711", "99HOSPITAL", "Jane")
    made.AnatomicRegionSequence = [public, local]
    deidentify(made, "a.dcm")
    assert (made.Manufacturer, made.ConvolutionKernel) == ("SIEMENS Healthineers", "Br40d")
    assert (made.ManufacturerModelName, made.SoftwareVersions) == (
        "SOMATOM Definition",
        "ANONYMIZED",
    )
    known, unknown = made.AnatomicRegionSequence
    assert (known.CodeValue, known.CodeMeaning) == (
        "51185008",
        "Thoracic structure (body structure)",
    )
    assert (unknown.CodeValue, unknown.CodingSchemeDesignator) == ("ANONYMIZED", "99ANON")


def test_text_in_place_of_a_number_goes(tmp_path):
    source = _identified(InstanceNumber=3, SeriesNumber=7, WindowCenter=[40, 50], WindowWidth=80)
    for word in ("SeriesNumber", "WindowCenter"):
        tag, text = Tag(word), f"7\\{SECRET}".encode()
        source[tag] = RawDataElement(tag, dictionary_VR(tag), len(text), text, 0, False, True)
    with quiet_pydicom():
        deidentify(source, "a.dcm")
    assert "SeriesNumber" not in source
    assert "WindowCenter" not in source
    assert (source.InstanceNumber, source.WindowWidth) == (3, 80)
