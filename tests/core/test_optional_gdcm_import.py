"""A folder of the user's that is called like a module of Python 2 hinders nobody."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.network_factory import ROOT


@pytest.mark.parametrize("first", ["monai_sr.formats", "monai_sr.geometry.dicom_plane", "monai"])
@pytest.mark.parametrize("name", ["dl", "DLFCN"])
def test_dicom_is_read_beside_a_folder_of_that_name(tmp_path, name, first):
    (tmp_path / name).mkdir()
    (tmp_path / name / "model.bin").write_bytes(b"")
    code = (
        f"import {first}, monai_sr.formats.dicom.reader, pydicom.uid, gdcm, {name}; "
        f"assert {name}.__path__"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
