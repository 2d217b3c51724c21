"""Outside validators of DICOM find no error in a result that its source did not have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from monai_sr.formats import DicomReader
from monai_sr.formats.dicom.files import format_ds
from monai_sr.formats.naming import write_uncertainty
from monai_sr.geometry import frame_planes, scaled_affine
from tests import dicom_factory as factory
from tests.dicom_factory import enlarge

pytestmark = pytest.mark.skipif(
    shutil.which("dciodvfy") is None or shutil.which("dcentvfy") is None,
    reason="dciodvfy and dcentvfy (package dicom3tools) are not installed",
)

# One real file of each kind; DX and MG are written here, for want of a real one.
SOURCES = {
    "CT": "CT_small.dcm",
    "MR": "MR_small.dcm",
    "MR with overlays": "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "CR": "CR_RG2_JPEGLS_MONO2.dcm",
    "DX": "DX",
    "MG": "MG",
    "SC": "SC_rgb_small_odd.dcm",
    "US": "US1_RGB_RLE.dcm",
    "US, multi-frame": "examples_ybr_color.dcm",
    "enhanced MR": "emri_small.dcm",
    "parametric map": "parametric_map_float.dcm",
}
OPTIONS = {
    "plain": {},
    "deidentified": {"deidentify": True},
    "RLE": {"compression": "rle"},
    "JPEG 2000": {"compression": "jpeg2000"},
}


@pytest.fixture
def source(request, tmp_path):
    name = SOURCES[request.param]
    if name in ("DX", "MG"):
        made = factory.stored((64, 48))
        return factory.write(tmp_path / "a.dcm", made, modality=name, **factory.radiograph(name))
    installed = get_testdata_file(name, download=False)
    return installed or request.getfixturevalue("shared_data") / "dicom" / name


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("source", SOURCES, indirect=True)
def test_a_result_has_no_error_that_its_source_had_not(tmp_path, source, options):
    enlarge(source, tmp_path / "o.dcm", 2, options=options)
    new = _errors("dciodvfy", tmp_path / "o.dcm") - _errors("dciodvfy", source)
    assert not new


@pytest.mark.parametrize("options", [{}, {"deidentify": True}], ids=["plain", "deidentified"])
@pytest.mark.parametrize("source", ["CT", "MR", "DX", "MG", "US", "enhanced MR"], indirect=True)
def test_a_map_of_uncertainty_has_no_error_at_all(tmp_path, source, options):
    large = enlarge(source, tmp_path / "o.dcm", 2, options=options)
    meta = {
        "sr_format": "dicom",
        "sr_uncertainty": np.linspace(0, 3, large.size, dtype=np.float32).reshape(large.shape),
        "sr_provenance": json.dumps(factory.PROVENANCE),
    }
    made = write_uncertainty(tmp_path / "o.dcm", meta)
    assert not _errors("dciodvfy", made)
    both = _errors("dcentvfy", tmp_path / "o.dcm", made)
    assert not both - _errors("dcentvfy", tmp_path / "o.dcm")


@pytest.mark.parametrize("source", ["DX", "MG"], indirect=True)
def test_our_own_radiographs_are_valid(source):
    assert not _errors("dciodvfy", source)


@pytest.mark.parametrize("options", [{}, {"deidentify": True}], ids=["plain", "deidentified"])
def test_a_study_with_its_results_is_of_one_piece(tmp_path, options):
    source = factory.write_series(tmp_path / "s", factory.stored((3, 16, 12)), SeriesNumber=4)
    enlarge(source, tmp_path / "x4", options=options)
    files = [*sorted((tmp_path / "x4").iterdir())]
    files += [] if options else sorted(source.iterdir())
    assert not _errors("dcentvfy", *files) - _errors("dcentvfy", *sorted(source.iterdir()))


@pytest.mark.parametrize("options", [{}, {"deidentify": True}], ids=["plain", "deidentified"])
@pytest.mark.parametrize("source", ["CT", "MR", "MR with overlays"], indirect=True)
def test_more_slices_than_the_source_had_bring_no_error(tmp_path, source, options):
    folder = _as_series(source, tmp_path / "s")
    reader = DicomReader()
    stored, meta = reader.get_data(reader.read(folder))
    affine = scaled_affine(meta["affine"], (1, 1, 4))
    enlarge(folder, tmp_path / "o", 1, values=stored.repeat(4, 3), affine=affine, options=options)
    old, new = sorted(folder.iterdir()), sorted((tmp_path / "o").iterdir())
    for file in new:
        assert not _errors("dciodvfy", file) - _errors("dciodvfy", old[0])
    both = [*new, *([] if options else old)]
    assert not _errors("dcentvfy", *both) - _errors("dcentvfy", *old)


def _as_series(source, folder):
    """Copy a real slice to three places 5 mm apart."""
    folder.mkdir()
    header = pydicom.dcmread(source)
    plane = frame_planes(header)[0]
    for i in range(3):
        place = plane.position + 5.0 * i * plane.normal
        header.ImagePositionPatient = [format_ds(float(v)) for v in place]
        header.InstanceNumber, header.SliceLocation = i + 1, 5 * i
        header.SOPInstanceUID = f"1.2.3.{i + 1}"
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.save_as(folder / f"{i}.dcm")
    return folder


def _errors(tool, *paths):
    done = subprocess.run([tool, *map(str, paths)], capture_output=True, check=False)
    lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
    return Counter(re.sub(r"\d+", "#", line) for line in lines if line.startswith("Error"))
