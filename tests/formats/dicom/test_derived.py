"""The derived identity of written DICOM files: origin, equipment, UIDs, an outside validator."""

from __future__ import annotations

from contextlib import nullcontext as ok

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000, JPEG2000Lossless

from tests import dicom_factory as factory
from tests.dicom_factory import PROVENANCE, enlarge


def test_result_is_marked_as_derived(tmp_path):
    tags = {"ImageComments": "left", "SeriesDescription": "chest", **factory.located()}
    source = factory.write(tmp_path / "a.dcm", **tags)
    enlarge(source, tmp_path / "o.dcm")
    old, new = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "o.dcm")
    assert list(new.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert new.ImageComments == "left; Derived by super-resolution; not for primary diagnosis"
    for part in ("x4", "monai-sr 0.1.0", "xray_sr", "ab" * 32, "not for primary diagnosis"):
        assert part in new.DerivationDescription
    code = new.DerivationCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113085", "DCM")
    assert code.CodeMeaning == "Spatial resampling"
    item = new.SourceImageSequence[0]
    assert item.ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert item.SpatialLocationsPreserved == "YES"
    equipment = new.ContributingEquipmentSequence[0]
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert list(equipment.SoftwareVersions) == ["0.1.0", "ab" * 32]
    assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID != old.SOPInstanceUID
    assert new.SeriesInstanceUID != old.SeriesInstanceUID
    assert new.StudyInstanceUID == old.StudyInstanceUID
    assert (new.PatientName, new.PatientID) == (old.PatientName, old.PatientID)
    assert new.SeriesDescription == "chest, super-resolution x4"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("T1\\T2 axial", "T1/T2 axial, super-resolution x4"),
        ("A" * 100, "A" * 43 + ", super-resolution x4"),
        (None, "super-resolution x4"),
    ],
)
def test_series_description_is_one_value_of_64_characters(tmp_path, before, after):
    """A backslash parts an LO into values, which pydicom gives as a list."""
    with pytest.warns(UserWarning, match="maximum length") if "A" * 65 in str(before) else ok():
        source = factory.write(tmp_path / "a.dcm", SeriesDescription=before)
    enlarge(source, tmp_path / "o.dcm")
    assert pydicom.dcmread(tmp_path / "o.dcm").SeriesDescription == after


def test_an_enhanced_result_lists_its_source_as_evidence(tmp_path):
    source = factory.write_enhanced(
        tmp_path / "a.dcm", factory.stored((3, 6, 9)), factory.slice_positions(3)
    )
    enlarge(source, tmp_path / "o.dcm", 2)
    old, new = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "o.dcm")
    (study,) = new.SourceImageEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (item,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == old.StudyInstanceUID
    assert series.SeriesInstanceUID == old.SeriesInstanceUID
    assert item.ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert item.ReferencedSOPClassUID == old.SOPClassUID


def test_codes_say_that_no_network_made_them(tmp_path):
    facts = {"software": "monai-sr", "version": "0.1.0", "kind": "label"}
    facts["resampling"] = "nearest neighbor"
    source = factory.write(tmp_path / "a.dcm", ImageType="DERIVED", SeriesDescription="organs")
    enlarge(source, tmp_path / "o.dcm", provenance=facts)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert new.SeriesDescription == "organs, enlarged x4"
    assert new.DerivationDescription.startswith("Enlargement x4 by monai-sr 0.1.0, codes by")
    assert new.DerivationDescription.endswith("Derived by enlargement; not for primary diagnosis.")
    assert "super-resolution" not in new.ImageComments
    assert list(new.ImageType) == ["DERIVED", "SECONDARY"]


def test_a_second_derivation_keeps_the_first(tmp_path):
    source = factory.write(tmp_path / "a.dcm")
    enlarge(source, tmp_path / "o.dcm", 2)
    enlarge(tmp_path / "o.dcm", tmp_path / "oo.dcm", 2)
    new = pydicom.dcmread(tmp_path / "oo.dcm")
    assert len(new.ContributingEquipmentSequence) == len(new.DerivationCodeSequence) == 2
    assert new.DerivationDescription.count("monai-sr 0.1.0") == 2


def test_equal_inputs_and_parameters_give_equal_files(tmp_path):
    source = factory.write(tmp_path / "a.dcm")
    enlarge(source, tmp_path / "1.dcm")
    enlarge(source, tmp_path / "2.dcm")
    assert (tmp_path / "1.dcm").read_bytes() == (tmp_path / "2.dcm").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "cd" * 32},
        {"consistency": 0},
        {"precision": "bfloat16"},
        {"self_ensemble": 8},
        {"version": "0.1.1"},
        {"overshoot": 0.0},
        {"bounds": [0, 100]},
        {"nodata": 900},
        {"asked_range": [0, 1000]},
        {"kind": "intensity"},
    ],
)
def test_other_parameters_give_other_uids(tmp_path, change):
    source = factory.write(tmp_path / "a.dcm")
    enlarge(source, tmp_path / "1.dcm")
    enlarge(source, tmp_path / "2.dcm", provenance={**PROVENANCE, **change})
    first, second = (pydicom.dcmread(tmp_path / f"{i}.dcm") for i in (1, 2))
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_other_pixels_give_another_uid(tmp_path):
    source = factory.write(tmp_path / "a.dcm", factory.stored((2, 2)))
    enlarge(source, tmp_path / "1.dcm", 2, {})
    enlarge(source, tmp_path / "2.dcm", 2, {}, values=np.zeros((1, 4, 4)))
    first, second = (pydicom.dcmread(tmp_path / f"{i}.dcm") for i in (1, 2))
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_exposures_of_one_series_stay_in_one_series(tmp_path):
    for i, top in enumerate((100, 200)):
        source = factory.write(tmp_path / f"{i}", modality="DX", InstanceNumber=i)
        enlarge(source, tmp_path / f"{i}.dcm", provenance={**PROVENANCE, "range": [0, top]})
    first, second = (pydicom.dcmread(tmp_path / f"{i}.dcm") for i in (0, 1))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_lossy_history_is_declared(tmp_path):
    enlarge(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm"), tmp_path / "o.dcm", 2)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert new.LossyImageCompression == "01"
    assert new.LossyImageCompressionMethod == "ISO_10918_1"
    assert new.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"


@pytest.mark.parametrize(
    ("syntax", "ratio", "expected"), [(JPEG2000, 10, "01"), (JPEG2000Lossless, None, "")]
)
def test_irreversible_wavelets_are_declared(tmp_path, syntax, ratio, expected):
    """The transfer syntax of JPEG 2000 is for both: the coded pixels tell (T.800 A.6.1)."""
    source = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ways = {} if ratio is None else {"j2k_cr": [ratio]}
    source.compress(syntax, encoding_plugin="pylibjpeg", **ways)
    source.file_meta.TransferSyntaxUID = JPEG2000
    source.save_as(tmp_path / "a.dcm")
    enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm", 2)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert new.get("LossyImageCompression", "") == expected
    assert new.get("LossyImageCompressionMethod", "") == ("ISO_15444_1" if expected else "")
    if expected:
        true_ratio = source.Rows * source.Columns * 2 / len(source.PixelData)
        assert new.LossyImageCompressionRatio == pytest.approx(true_ratio, abs=0.01)


def test_overlays_that_were_left_out_are_noted(tmp_path, shared_data):
    enlarge(shared_data / "dicom" / "MR-SIEMENS-DICOM-WithOverlays.dcm", tmp_path / "o.dcm", 2)
    new = pydicom.dcmread(tmp_path / "o.dcm")
    assert "overlays of the source are left out" in new.DerivationDescription
    assert not [e for e in new if 0x6000 <= e.tag.group < 0x6020]
