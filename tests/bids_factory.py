"""Writes a small BIDS data set whose images are real slices and made series."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

LINES, COLUMNS, SLICES = 16, 20, 4


def write_json(path: Path, **entries: Any) -> Path:
    """Write entries, with the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries))
    return path


def write_image(path: Path, array: np.ndarray[Any, Any], seconds: float = 0.0) -> Path:
    """Write an image of voxels of 1 x 1 x 4 mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, np.diag([1.0, 1.0, 4.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    if array.ndim > 3:
        image.header["pixdim"][4] = seconds
    image.to_filename(path)
    return path


def write_data_set(folder: Path, brain: Path) -> Path:
    """Write two participants, of whom one has two sessions, a time series and diffusion.

    Args:
        folder: of the data set; made.
        brain: a NIfTI volume, from whose middle the anatomies are cut.
    """
    write_json(folder / "dataset_description.json", Name="Two brains", BIDSVersion="1.10.0",
               License="CC0", DatasetDOI="doi:10.0.2.3/dfjj.10")  # fmt: skip
    (folder / "README").write_text("Two participants, small images. " * 10)
    (folder / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\nsub-02\t40\n")
    write_json(folder / "T1w.json", Manufacturer="Acme", MagneticFieldStrength=3)
    write_json(folder / "task-rest_bold.json", TaskName="rest", RepetitionTime=2.0)
    anatomy = _middle(brain)
    anat = folder / "sub-01" / "anat"
    write_image(anat / "sub-01_acq-fine_T1w.nii.gz", anatomy)
    write_json(anat / "sub-01_acq-fine_T1w.json", Manufacturer="Other", EchoTime=0.003,
               ImageType=["ORIGINAL", "PRIMARY", "M"], PixelBandwidth=200,
               SliceThickness=4)  # fmt: skip
    rng = np.random.default_rng(0)
    series = rng.integers(0, 900, (LINES, COLUMNS, SLICES, 3), dtype=np.int16)
    func = folder / "sub-01" / "func"
    write_image(func / "sub-01_task-rest_bold.nii.gz", series, 2.0)
    write_json(func / "sub-01_task-rest_bold.json", SliceTiming=[0, 0.5, 1.0, 1.5],
               PhaseEncodingDirection="j-", EffectiveEchoSpacing=0.0005,
               TotalReadoutTime=0.0005 * (COLUMNS - 1), ReconMatrixPE=COLUMNS)  # fmt: skip
    dwi = folder / "sub-01" / "dwi"
    write_image(dwi / "sub-01_dwi.nii.gz", series[..., :2], 3.0)
    (folder / "dwi.bval").write_text("0 1000\n")
    (dwi / "sub-01_dwi.bvec").write_text("0 1\n0 0\n0 0\n")
    fmap = folder / "sub-01" / "fmap"
    write_image(fmap / "sub-01_dir-AP_epi.nii.gz", series[..., 0])
    write_json(fmap / "sub-01_dir-AP_epi.json", PhaseEncodingDirection="j", TotalReadoutTime=0.01,
               IntendedFor="bids::sub-01/func/sub-01_task-rest_bold.nii.gz")  # fmt: skip
    for session in ("1", "2"):
        stem = f"sub-02_ses-{session}"
        write_image(folder / "sub-02" / f"ses-{session}" / "anat" / f"{stem}_T1w.nii", anatomy)
    other = folder / "derivatives" / "other" / "sub-01" / "anat"
    write_image(other / "sub-01_desc-preproc_T1w.nii.gz", anatomy)
    return folder


def _middle(brain: Path) -> np.ndarray[Any, Any]:
    volume = np.asarray(nib.load(brain).dataobj)
    begins = [(size - part) // 2 for size, part in zip(volume.shape, (24, 20, 3), strict=True)]
    cut = tuple(slice(b, b + n) for b, n in zip(begins, (24, 20, 3), strict=True))
    return np.ascontiguousarray(volume[cut]).astype(np.int16)
