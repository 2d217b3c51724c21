"""Elements of unknown representation are read as PS3.5 6.2.2 says: Implicit VR Little Endian."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import ExplicitVRBigEndian

from monai_sr.formats.dicom.files import open_dicom
from monai_sr.geometry.dicom_plane import frame_planes
from tests import dicom_factory as factory

GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


def _implicit(element):
    """Encode the value of an element in Implicit VR Little Endian."""
    stream = DicomBytesIO()
    stream.is_implicit_VR = stream.is_little_endian = True
    write_data_element(stream, element)
    return stream.getvalue()[8:]


def _as_unknown(made, keywords):
    """Let elements be UN in the file, whatever the library makes of that in memory."""
    for keyword in keywords:
        element = made[keyword]
        unknown = DataElement(element.tag, "OB", _implicit(element))
        unknown.VR = "UN"
        made[element.tag] = unknown
    return made


@pytest.mark.parametrize("size", [0, 40_000], ids=["short", "above 64 KiB"])
def test_functional_groups_that_are_unknown_are_read(tmp_path, size):
    positions = factory.slice_positions(3)
    path = factory.write_enhanced(tmp_path / "a.dcm", factory.stored((3, 6, 9)), positions)
    plain = pydicom.dcmread(path)
    for frame in plain.PerFrameFunctionalGroupsSequence:
        frame.PlanePositionSequence[0].ICCProfile = bytes(size)
    _as_unknown(plain, GROUPS).save_as(tmp_path / "un.dcm")
    assert b"UN" in (tmp_path / "un.dcm").read_bytes()
    planes = frame_planes(open_dicom(tmp_path / "un.dcm"))
    np.testing.assert_allclose([p.position for p in planes], positions, atol=1e-9)
    assert planes[0].spacing_mm == (0.7, 0.4)


def test_a_result_states_what_was_unknown(tmp_path):
    positions = factory.slice_positions(3)
    path = factory.write_enhanced(tmp_path / "a.dcm", factory.stored((3, 6, 9)), positions)
    factory.enlarge(path, tmp_path / "plain.dcm", 2)
    _as_unknown(pydicom.dcmread(path), GROUPS).save_as(tmp_path / "un.dcm")
    factory.enlarge(tmp_path / "un.dcm", tmp_path / "o.dcm", 2)
    plain, new = (pydicom.dcmread(tmp_path / name) for name in ("plain.dcm", "o.dcm"))
    for keyword in GROUPS:
        assert new[keyword].VR == "SQ"
        assert new[keyword].value == plain[keyword].value


def test_unknown_numbers_are_little_endian_in_big_endian_files(tmp_path):
    made = factory.dataset(factory.stored((4, 5), bits=8), bits=8, AcquisitionMatrix=[0, 300, 2, 0])
    _as_unknown(made, ["AcquisitionMatrix"])
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    made.set_original_encoding(False, False)
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert open_dicom(tmp_path / "a.dcm").AcquisitionMatrix == [0, 300, 2, 0]


def test_unknown_private_elements_stay_as_they_are(tmp_path):
    made = factory.dataset()
    made.private_block(0x0029, "VENDOR", create=True).add_new(0x10, "UN", b"\1\2\3\4")
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert open_dicom(tmp_path / "a.dcm")[0x00291010].value == b"\1\2\3\4"
