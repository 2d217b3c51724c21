"""Make the images that ct_sr is trained and validated on.

``python benchmarks/ct_training.py --head In/GE --data DATA`` writes ``DATA/ct_slices/train`` and
``DATA/ct_slices/validation``. ``In/GE`` is that folder of the repository neurolabusc/dcm_qa_ct, 28
DICOM files of one head by a GE HiSpeed Dual (BSD-2-Clause); DATA holds
``ct/qin_ct_7slices_0.78mm.nii.gz``, seven slices of one chest (LIDC-IDRI-0314, CC BY 3.0). Slices
of the head lie at uneven distances with a tilted gantry, those of the chest far apart, so neither
is a volume: a file here is a stack of slices, in Hounsfield units, that are enlarged within.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel
import numpy as np
import pydicom

CHEST = "ct/qin_ct_7slices_0.78mm.nii.gz"
HELD_OUT = {"ge_head": (5, 13, 21), "chest": (3,)}
"""Stack -> places of the slices to validate on, from below."""
_APART = 20.0  # mm, so that rows and columns are what is enlarged


def read_head(folder: Path) -> tuple[np.ndarray, float]:
    """Return (slices, rows, columns) in HU, from below, and the side of a pixel in mm."""
    slices = [pydicom.dcmread(file) for file in sorted(folder.glob("*.dcm"))]
    slices.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    values = [s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices]
    return np.stack(values).astype(np.int16), float(slices[0].PixelSpacing[0])


def read_chest(file: Path) -> tuple[np.ndarray, float]:
    """Return the same of a NIfTI file."""
    image = nibabel.load(file)
    return np.asarray(image.dataobj).T, float(image.header.get_zooms()[0])  # type: ignore[attr-defined]


def write_stack(values: np.ndarray, side: float, file: Path) -> None:
    """Write slices (slices, rows, columns) as NIfTI."""
    file.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values.T, np.diag([side, side, _APART, 1]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, file)


def main() -> None:
    """Parse the command line and write both stacks, divided."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--head", type=Path, required=True, help="folder In/GE")
    parser.add_argument("--data", type=Path, required=True, help="folder of all images")
    options = parser.parse_args()
    stacks = {"ge_head": read_head(options.head), "chest": read_chest(options.data / CHEST)}
    for name, (values, side) in stacks.items():
        held = np.isin(np.arange(len(values)), HELD_OUT[name])
        for part, kept in (("train", ~held), ("validation", held)):
            write_stack(values[kept], side, options.data / "ct_slices" / part / f"{name}.nii.gz")


if __name__ == "__main__":
    main()
