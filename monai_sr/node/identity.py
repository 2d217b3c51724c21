"""What a DICOM object says of a person, to be taken out of messages (PS3.3 C.7.1, C.7.2)."""

from pathlib import Path

from monai_sr.formats import read_elements

_KEYWORDS = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName",
    "PatientBirthDate", "PatientMotherBirthName", "PatientAddress", "PatientTelephoneNumbers",
    "MilitaryRank", "AccessionNumber", "StudyID", "ReferringPhysicianName",
    "PerformingPhysicianName", "OperatorsName", "NameOfPhysiciansReadingStudy",
    "RequestingPhysician", "InstitutionName", "StationName", "DeviceSerialNumber",
    "AdmissionID", "PatientComments",
)  # fmt: skip


def identifying_values(file: Path) -> tuple[str, ...]:
    """Return the values of attributes that identify; none where the header cannot be read."""
    try:
        header = read_elements(file, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
        values = (header.get(keyword) for keyword in _KEYWORDS)
        return tuple(str(value) for value in values if value)
    except Exception:  # whatever pydicom meets in hostile bytes; UIDs are known by their form
        return ()
