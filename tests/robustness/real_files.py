"""The real files: those of pydicom, nibabel, samples/ and the shared data."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel
import pydicom.data

from tests.robustness.runner import Case

ROOT = Path(__file__).resolve().parents[2]
_OTHER = {".py", ".pyc", ".txt"}  # texts are lists of inputs


@cache
def real_files() -> tuple[Case, ...]:
    """Return every test file of the installed libraries, the samples, and what is shared."""
    data = ROOT.parent / "shared" / "data"
    folders = {
        "pydicom": Path(pydicom.data.__file__).parent,
        "nibabel": Path(nibabel.__file__).parent / "tests" / "data",
        "samples": ROOT / "samples",
        "shared DICOM": data / "dicom",
        "shared NIfTI": data / "nifti",
        "shared GeoTIFF": data / "geotiff",
    }
    return tuple(
        Case(group, file)
        for group, folder in folders.items()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and file.suffix not in _OTHER
        and file.name[0] != "."
        and not file.name.startswith("DICOMDIR")  # below
    )


def dicomdirs() -> tuple[Path, ...]:
    """Return the real DICOMDIRs, which name many inputs."""
    return tuple(sorted(Path(pydicom.data.__file__).parent.rglob("DICOMDIR*")))
