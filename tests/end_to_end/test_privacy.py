"""A marker in every text attribute of the dictionary shows up nowhere after de-identification."""

from __future__ import annotations

import tempfile

import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset

from monai_sr.cli.main import main
from tests import dicom_factory as factory
from tests.network_factory import tiny_bundle

MARK, DATE, ROOT = "QZXMARKER", "19870615", "1.2.471193"
VALUES = {
    "PN": f"{MARK}^A", "UR": f"https://{MARK}.invalid", "DA": DATE, "DT": f"{DATE}111213",
    "TM": "111213.471193", "AS": "047Y", "UI": f"{ROOT}.5",
    **dict.fromkeys(("AE", "LO", "LT", "SH", "ST", "UC", "UT"), MARK),
}  # fmt: skip
# Groups of people, of whose coded strings images need none.
PEOPLE = (0x10, 0x12, 0x32, 0x38, 0x40, 0x72, 0x74, 0x400)
SECRETS = (MARK, DATE, ROOT, "111213.471193", "047Y", "VENDOR")


def marked(made):
    """Plant a marker in every text attribute, date and UID that the dictionary has."""
    count = 0
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 < 8 or keyword in made or not keyword:
            continue
        if vr in VALUES:
            made.add_new(tag, vr, VALUES[vr])
            count += 1
    return count


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def source(tmp_path):
    made = factory.dataset(factory.stored((40, 36)), modality="DX", BurnedInAnnotation="NO")
    item, deep = Dataset(), Dataset()
    for place in (deep, item, made):
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
            if keyword in place:
                del place[keyword]
        assert marked(place) > 1000
        private = place.private_block(0x0029, "VENDOR", create=True)
        private.add_new(0x10, "LO", MARK)
        place.add_new(0x60004000, "LT", MARK)
        place.add_new(0x50002600, "LO", MARK)
        place.MakerNote = MARK.encode()
        place.PatientBreedCodeSequence = [Dataset()]
        place.PatientBreedCodeSequence[0].CodeValue = MARK
        place.PatientBreedCodeSequence[0].CodingSchemeDesignator = "DCM"
        place.PatientBreedCodeSequence[0].CodeMeaning = MARK
        place.PatientSexNeutered = "ALTERED"
    item.ContentSequence = [deep]
    made.AnatomicRegionSequence = [item]
    made.preamble = MARK.encode().ljust(128, b"\0")
    folder = tmp_path / f"in_{MARK}"
    folder.mkdir()
    made.save_as(folder / f"{MARK}.dcm", enforce_file_format=True)
    return folder


def test_no_marker_is_left_anywhere(source, bundle, tmp_path, monkeypatch, capfd, caplog):
    places = {name: tmp_path / name for name in ("out", "temporary", "home")}
    for place in places.values():
        place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places["temporary"]))
    monkeypatch.setenv("HOME", str(places["home"]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(places["home"] / "cache"))
    options = ["--deidentify", "--report"]
    done = main(
        ["upscale", str(source), "-o", str(places["out"]), "--bundle", str(bundle), *options]
    )
    told = "".join(capfd.readouterr()) + caplog.text
    assert done == 0, told
    assert not [secret for secret in SECRETS if secret in told]
    found = [p for place in places.values() for p in place.rglob("*")]
    assert {".dcm", ".csv", ".html"} <= {p.suffix for p in found}
    for path in found:
        assert not [s for s in SECRETS if s in path.name], path
        if path.is_file() and not path.is_symlink():  # links to the inputs go with the process
            content = path.read_bytes()
            assert not [s for s in SECRETS if s.encode() in content], path
    (result,) = places["out"].glob("*.dcm")
    new = pydicom.dcmread(result)
    assert new.AnatomicRegionSequence[0].ContentSequence[0].TrackingUID.startswith("1.2.826.0.1.")
