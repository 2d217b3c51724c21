"""docs/how-to/monai-label.md is true: the command and the function enlarge, and failures speak."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import nibabel as nib
import pytest

from tests.docs.pages import sections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "monai-label.md"
(FUNCTION,) = sections(PAGE)["From an app of Label's"]


@pytest.fixture
def enlarge(tmp_path):
    """Return the page's function, with this interpreter's command."""
    space: dict = {}
    exec(compile(FUNCTION.text, str(PAGE), "exec"), space)
    command = tmp_path / "monai-sr"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m monai_sr.cli.main "$@"\n')
    command.chmod(0o755)
    return lambda image: space["enlarge"](str(image), str(command))


@pytest.mark.slow
def test_the_pages_function_returns_the_enlarged_file(enlarge, samples_dir, tmp_path) -> None:
    source = samples_dir / "mri_sr" / "brain_mr.nii.gz"
    small = tmp_path / "small.nii.gz"
    nib.save(nib.load(source).slicer[:20, :24, :2], small)
    result = nib.Nifti1Image.from_bytes(gzip.decompress(enlarge(small)))
    assert result.shape[:3] == (40, 48, 2)


@pytest.mark.slow
def test_the_pages_function_tells_a_failure_in_one_line(enlarge, tmp_path) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    with pytest.raises(RuntimeError, match=r"bad\.nii\.gz"):
        enlarge(tmp_path / "bad.nii.gz")
