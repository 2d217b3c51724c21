"""Elements that are not as the file declares are read and written.

Those of unknown representation are Implicit VR Little Endian (PS3.5 6.2.2).
"""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

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


@pytest.mark.parametrize("length", [1, 8, 300])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_zeros_behind_the_last_element_are_none(tmp_path, syntax, length):
    made = factory.dataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with (tmp_path / "a.dcm").open("ab") as stream:
        stream.write(bytes(length))
    factory.enlarge(tmp_path / "a.dcm", tmp_path / "o.dcm", 2)
    assert min(pydicom.dcmread(tmp_path / "o.dcm").keys()).group == 8


def test_implicit_elements_in_a_file_declared_explicit_are_written(tmp_path):
    made = factory.dataset(PatientComments="kept")
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    factory.enlarge(tmp_path / "a.dcm", tmp_path / "plain.dcm", 2)
    data = (tmp_path / "a.dcm").read_bytes()
    declared = b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0"
    lengths = (len(uid).to_bytes(2, "little") for uid in declared)
    wrong = [b"UI" + length + uid for length, uid in zip(lengths, declared, strict=True)]
    group = int.from_bytes(data[140:144], "little")  # length of group 2
    data = data[:140] + (group + 2).to_bytes(4, "little") + data[144:].replace(*wrong, 1)
    (tmp_path / "b.dcm").write_bytes(data)
    with pytest.warns(UserWarning, match="Expected explicit VR, but found implicit VR"):
        assert (
            pydicom.dcmread(tmp_path / "b.dcm").file_meta.TransferSyntaxUID.is_implicit_VR is False
        )
    factory.enlarge(tmp_path / "b.dcm", tmp_path / "o.dcm", 2)
    plain, new = (pydicom.dcmread(tmp_path / name) for name in ("plain.dcm", "o.dcm"))
    assert new.PatientComments == "kept"
    assert new == plain
