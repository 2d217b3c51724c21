"""The application of MONAI Deploy, run by its own SDK, gives the command line's results.

The SDK lives in an environment of its own: ``.ci/deploy`` makes one and runs these tests with it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from monai_sr import FileUpscaler
from monai_sr.core import MissingDependencyError
from tests import dicom_factory as factory
from tests.docs.pages import sections

PYTHON = os.environ.get("MONAI_SR_DEPLOY_PYTHON")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "monai-deploy.md"
OPTIONS = {"scale": 2, "device": "cpu"}
needs_sdk = pytest.mark.skipif(
    PYTHON is None,
    reason="needs MONAI_SR_DEPLOY_PYTHON (MONAI Deploy); see .ci/deploy",
)


class Run(NamedTuple):
    """What an application did."""

    study: Path
    output: Path
    code: int
    said: str


def _run(folder: Path) -> Run:
    """Run the page's application on ``folder/study``."""
    (app,) = (b.text for blocks in sections(PAGE).values() for b in blocks if b.file == "app.py")
    assert str(OPTIONS).replace("'", '"') in app
    (folder / "app.py").write_text(app)
    output = folder / "out"
    output.mkdir()
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "app.py", "--input", "study", "--output", "out"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PAGE.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(folder / "study", output, done.returncode, done.stdout + done.stderr)


def _write_times(folder: Path) -> None:
    """Write one series with two time points, of which the SDK's loader drops the first."""
    for time in (1, 2):
        volume = factory.stored((3, 20, 16), seed=time)
        tags = {"AcquisitionNumber": time, "TemporalPositionIdentifier": time}
        factory.write_series(folder / str(time), volume, modality="MR", **tags)


def _write_report(file: Path) -> None:
    """Write an object without pixels: a basic text report, PS3.3 A.35.1."""
    report = factory.dataset(factory.stored((2, 2)), modality="MR")
    for keyword in ("Rows", "Columns", "PixelData", "ImageType"):
        del report[keyword]
    report.Modality, report.SOPClassUID = "SR", "1.2.840.10008.5.1.4.1.1.88.11"
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.SOPInstanceUID, report.SeriesInstanceUID = generate_uid(), generate_uid()
    report.save_as(file, enforce_file_format=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory, samples_dir) -> Run:
    folder = tmp_path_factory.mktemp("deploy")
    _write_times(folder / "study" / "a")
    _write_report(folder / "study" / "report.dcm")
    shutil.copy(samples_dir / "xray_sr" / "chest_xray_dx.dcm", folder / "study" / "x.dcm")
    return _run(folder)


def _datasets(files) -> list[pydicom.Dataset]:
    return sorted(map(pydicom.dcmread, files), key=lambda one: str(one.SOPInstanceUID))


@needs_sdk
@pytest.mark.slow
def test_results_are_those_of_the_command_line(run: Run, tmp_path) -> None:
    assert run.code == 0, run.said
    upscaler = FileUpscaler("xray_sr:fast", **OPTIONS)
    study = run.study
    sources = [sorted((study / "a" / time).iterdir()) for time in ("1", "2")] + [study / "x.dcm"]
    folders = sorted(run.output.iterdir())
    assert [folder.name for folder in folders] == ["image_001", "image_002", "image_003"]
    for source, folder in zip(sources, folders, strict=True):
        expected = _datasets(upscaler(source, tmp_path / folder.name).files)
        found = _datasets(file for file in folder.rglob("*.dcm"))
        for ours, theirs in zip(expected, found, strict=True):
            assert ours.SOPInstanceUID == theirs.SOPInstanceUID
            assert ours.StudyInstanceUID == theirs.StudyInstanceUID
            assert ours.get("PixelSpacing") == theirs.get("PixelSpacing")
            # Float32 sums in the order of another build of the runtime.
            difference = np.abs(ours.pixel_array.astype(int) - theirs.pixel_array)
            assert difference.max() <= 1


@needs_sdk
@pytest.mark.slow
def test_no_time_point_is_lost_and_it_is_said(run: Run) -> None:
    assert "3 files of the selected series were left out by the loader" in run.said


@needs_sdk
@pytest.mark.slow
def test_results_belong_to_the_study_as_series_of_their_own(run: Run) -> None:
    given = {str(d.SeriesInstanceUID) for d in _datasets(run.study.rglob("*.dcm"))}
    for dataset in _datasets(run.output.rglob("*.dcm")):
        assert dataset.ImageType[0] == "DERIVED"
        assert str(dataset.SeriesInstanceUID) not in given


@needs_sdk
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is missing")
def test_results_have_no_error_that_their_source_had_not(run: Run) -> None:
    known = set().union(*(_errors(file) for file in run.study.rglob("*") if file.is_file()))
    for file in run.output.rglob("*.dcm"):
        assert set(_errors(file)) <= known
    # That of the real file has none at all.
    (real,) = (run.output / "image_003").rglob("*.dcm")
    assert not _errors(real)


def _errors(file: Path) -> Counter[str]:
    done = subprocess.run(["dciodvfy", str(file)], capture_output=True, check=False)
    lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
    return Counter(re.sub(r"\d+", "#", line) for line in lines if line.startswith("Error"))


@needs_sdk
@pytest.mark.slow
def test_nobody_is_named_in_the_log(run: Run) -> None:
    ours = [line for line in run.said.splitlines() if "(monai_sr" in line]
    assert len(ours) > 3
    assert not [line for line in ours for secret in factory.SECRETS if secret in line]


@needs_sdk
@pytest.mark.slow
def test_one_bad_file_fails_the_run_and_no_other_image(tmp_path, samples_dir) -> None:
    study = tmp_path / "study"
    study.mkdir()
    source = samples_dir / "xray_sr" / "chest_xray_dx.dcm"
    shutil.copy(source, study / "good.dcm")
    bad = pydicom.dcmread(source)
    bad.SOPInstanceUID, bad.PixelData = generate_uid(), bad.PixelData[:100]
    bad.save_as(study / "bad.dcm")
    done = _run(tmp_path)
    assert done.code != 0
    assert "1 of 2 images could not be enlarged, the others are in" in done.said
    assert [file.name for file in done.output.rglob("*.dcm")] == ["good_x2.dcm"]


@pytest.mark.parametrize("module", ["deploy", "deploy_app"])
def test_without_the_sdk_its_installation_is_told(monkeypatch, module: str) -> None:
    for name in [name for name in sys.modules if name.startswith("monai.deploy")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("deploy", "deploy_app"):
        monkeypatch.delitem(sys.modules, f"monai_sr.integrations.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "monai.deploy", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'monai-sr\[deploy\]'"):
        importlib.import_module(f"monai_sr.integrations.{module}")
