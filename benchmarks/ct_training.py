"""Make the images that ct_sr is trained and validated on.

``python benchmarks/ct_training.py --clones CLONES --data DATA`` writes the slices of
``benchmarks/ct_training.csv`` to ``DATA/ct_slices/train`` and ``DATA/ct_slices/validation``. CLONES
holds a git clone of each repository that the table names, at ``CLONES/<owner>/<name>``. A row is
one series: the DICOM files whose path in the repository matches the regular expression ``path``,
of which ``series`` keeps those with that SeriesNumber. ``split`` says whether its slices are
trained on or looked at in validation. Nobody is in both, but of two persons some slices are
``held_out``: those at these places, in mm along their normal, are looked at, not trained on.

What is trained on is enlarged within slices: a file is a stack of them in Hounsfield units, some
millimeters apart, at most 40 of a series. In validation a file is one slice, for of a stack only
the middle one is looked at. Where scanners write -2000 and the like, outside of the circle of
reconstruction, the stacks have air, for inference fills it with what is nearest.

Not in the table, for they serve evaluation: the images of NEMA WG04, and the head phantom of
dcm_qa_ct, which is that of niivue-images.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
from clones import arguments_for, read_files, read_slices, read_table, refuse_others, rescaled

SERIES = Path(__file__).with_suffix(".csv")
TRAIN, VALIDATION = "train", "validation"
AIR = -1024  # HU, the least that 12 bits hold; what is below was not measured
_LEAST_APART = 4.0  # mm: nearer slices show the same
_MOST = 40  # slices of a series
_APART = 20.0  # mm, as the files have it


def thinned(places: list[float], held_out: list[float]) -> list[float]:
    """Return the places of the slices to use, of all in order, far from the ones held out."""
    used: list[float] = []
    for place in places:
        near = [*held_out, *used[-1:]]
        if all(abs(place - other) > _LEAST_APART - 0.01 for other in near):
            used.append(place)
    chosen = np.linspace(0, len(used) - 1, min(_MOST, len(used))).round().astype(int)
    return [used[index] for index in chosen]


def write_stack(slices: list[np.ndarray], side: float, file: Path) -> None:
    """Write slices (rows, columns) of pixels of one side in mm as NIfTI."""
    file.parent.mkdir(parents=True, exist_ok=True)
    values = np.stack(slices).clip(AIR, np.iinfo(np.int16).max).round().astype(np.int16)
    image = nibabel.Nifti1Image(values.T, np.diag([side, side, _APART, 1]))
    image.header.set_xyzt_units("mm")
    part = file.with_name(f".part_{file.name}")
    nibabel.save(image, part)
    part.rename(file)


def make(row: dict[str, str], clones: Path, folder: Path) -> list[Path]:
    """Write the files of one row of the table; return them.

    Raises:
        SystemExit: if no slice lies where one is held out.
    """
    found = read_slices(read_files(clones, row), row["series"])
    held_out = [float(place) for place in row["held_out"].split()]
    if missing := [place for place in held_out if place not in found]:
        raise SystemExit(f"{row['file']}: no slice lies at {missing}; places are {list(found)}")
    used = thinned(list(found), held_out)
    shown = used if row["split"] == VALIDATION else held_out
    name = row["file"].removesuffix(".nii.gz")
    stacks = {
        folder / VALIDATION / f"{name}_{count}.nii.gz": [place]
        for count, place in enumerate(shown, start=1)
    }
    if row["split"] == TRAIN:
        stacks[folder / TRAIN / row["file"]] = used
    for file, places in stacks.items():
        slices = [found[place] for place in places]
        write_stack([rescaled(each) for each in slices], float(slices[0].PixelSpacing[0]), file)
    return list(stacks)


def main(arguments: list[str] | None = None) -> int:
    """Write all files; return the exit code.

    Raises:
        SystemExit: if the folder holds others, which training would take, too.
    """
    options = arguments_for(__doc__, SERIES).parse_args(arguments)
    folder = options.data / "ct_slices"
    made = [file for row in read_table(options.table) for file in make(row, options.clones, folder)]
    refuse_others(folder.rglob("*.nii.gz"), made, options.table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
