"""Binary segmentations stay masks of one bit: blocks of the same values, geometry enlarged."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from monai_sr.cli.main import main
from tests import dicom_factory as factory
from tests.network_factory import tiny_bundle

highdicom = pytest.importorskip("highdicom")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def source(tmp_path):
    """Write a segmentation of two organs that overlap, over four slices of odd sides."""
    series = factory.write_series(tmp_path / "ct", factory.stored((4, 7, 9)))
    slices = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
    for index, one in enumerate(slices):
        one.PatientSex, one.PatientBirthDate, one.StudyDate = "O", "19700101", "20200101"
        one.StudyTime, one.AccessionNumber, one.StudyID = "120000", "1", "1"
        one.ReferringPhysicianName, one.SOPInstanceUID = "", f"1.2.3.4.{index + 1}"
        one.PatientName, one.PatientID, one.SliceThickness = "Doe^Jane", "1", 2.5
    masks = np.zeros((4, 7, 9, 2), np.uint8)
    masks[:3, 1:5, 2:7, 0] = masks[1:, 3:7, 4:9, 1] = 1
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="hand", version="1", family=codes.cid7162.ArtificialIntelligence
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number, segment_label=name,
            segmented_property_category=codes.SCT.Organ, segmented_property_type=kind,
            algorithm_type="AUTOMATIC", algorithm_identification=algorithm,
        )
        for number, name, kind in ((1, "liver", codes.SCT.Liver), (2, "spleen", codes.SCT.Spleen))
    ]  # fmt: skip
    made = highdicom.seg.Segmentation(
        slices, masks, "BINARY", segments, series_instance_uid="1.2.3.9", series_number=9,
        sop_instance_uid="1.2.3.9.1", instance_number=1, manufacturer="maker",
        manufacturer_model_name="model", software_versions="1", device_serial_number="1",
    )  # fmt: skip
    made.save_as(tmp_path / "seg.dcm")
    return tmp_path / "seg.dcm"


@pytest.mark.parametrize("options", [[], ["--compression", "rle"]], ids=["plain", "rle"])
def test_masks_grow_by_blocks_and_stay_one_bit(source, bundle, tmp_path, capsys, options):
    out = tmp_path / "out"
    command = ["upscale", str(source), "-o", str(out), "--bundle", str(bundle), "--scale", "2"]
    assert main([*command, *options]) == 0
    assert "label (a mask of one bit a pixel)" in capsys.readouterr().out
    old, new = pydicom.dcmread(source), pydicom.dcmread(out / "seg_x2.dcm")
    before, after = old.pixel_array, new.pixel_array
    assert np.array_equal(after, before.repeat(2, -2).repeat(2, -1))
    assert (new.BitsAllocated, new.BitsStored, new.HighBit) == (1, 1, 0)
    assert (new.Rows, new.Columns) == (14, 18)
    assert new.NumberOfFrames == old.NumberOfFrames == len(before) == 6
    assert new.SegmentSequence == old.SegmentSequence
    measures = [s.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0] for s in (old, new)]
    assert np.allclose(measures[1].PixelSpacing, np.array(measures[0].PixelSpacing) / 2)
    for was, now in zip(
        old.PerFrameFunctionalGroupsSequence, new.PerFrameFunctionalGroupsSequence, strict=True
    ):
        segment = [f.SegmentIdentificationSequence[0].ReferencedSegmentNumber for f in (was, now)]
        assert segment[0] == segment[1]
    read = highdicom.seg.segread(out / "seg_x2.dcm")
    assert read.number_of_segments == 2
    assert "Enlargement x2" in str(new)


def test_masks_are_no_gray_values(source, bundle, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["upscale", str(source), "-o", str(out), "--bundle", str(bundle)]
    assert main([*command, "--kind", "intensity"]) == 2
    assert "leave --kind out, or add --kind label" in "".join(capsys.readouterr())
