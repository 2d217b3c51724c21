"""Make the further volumes that mri_sr is trained on.

``python benchmarks/mr_training.py --clones CLONES --data DATA`` writes the volumes of
``benchmarks/mr_training.csv`` to ``DATA/mr_more`` as NIfTI. CLONES holds a git clone of each
repository that the table names, at ``CLONES/<owner>/<name>``. A row is one volume: the NIfTI file
whose path in the repository matches the regular expression ``path``, or all DICOM files that
match, of which ``series`` keeps those with that SeriesNumber. Values stay as the scanner wrote
them. Where a scanner enlarged slices by zeros around their k-space, ``matrix`` gives the columns
and rows that it measured, and the zeros are cut off again: enlarged pixels teach a model nothing.
``slices`` is the axis of a NIfTI file along which the scanner's slices lie, if not the last, and
``volume`` picks one of a fourth dimension. Not in the table, for they serve validation and tests:
the persons of ds002748 sub-10, of open_ms_data patient 19 and of neurolabusc's own head.
"""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

import nibabel
import numpy as np
from clones import arguments_for, directions, read_files, read_slices, read_table, rescaled

VOLUMES = Path(__file__).with_suffix(".csv")


def read_series(files: list[bytes], number: str) -> nibabel.Nifti1Image:
    """Return one DICOM series of single slices as NIfTI, indexed column, row, slice."""
    places = read_slices(files, number)
    slices, order = list(places.values()), list(places)
    values = np.stack([rescaled(each) for each in slices])
    across, down = directions(slices[0])
    row_apart, column_apart = (float(side) for side in slices[0].PixelSpacing)
    apart = float(np.median(np.diff(order))) if len(order) > 1 else 1.0
    affine = np.eye(4)
    affine[:3, 0] = across * column_apart
    affine[:3, 1] = down * row_apart
    affine[:3, 2] = np.cross(across, down) * apart
    affine[:3, 3] = np.array(slices[0].ImagePositionPatient, float)
    affine[:2] *= -1  # from DICOM's LPS to NIfTI's RAS
    return nibabel.Nifti1Image(values.transpose(2, 1, 0).astype(np.float32), affine)


def read_nifti(content: bytes, volume: str, slices: str) -> nibabel.Nifti1Image:
    """Return a NIfTI file's volume, or one volume of its fourth dimension, with slices last."""
    plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    image = nibabel.Nifti1Image.from_bytes(plain)
    values = np.asarray(image.dataobj, np.float32)
    values = values[..., int(volume or 0)] if values.ndim > 3 else values
    last = int(slices or 2)
    order = [axis for axis in range(3) if axis != last] + [last]
    return nibabel.Nifti1Image(values.transpose(order), image.affine[:, [*order, 3]])


def measured(image: nibabel.Nifti1Image, matrix: str) -> nibabel.Nifti1Image:
    """Return a volume whose first two axes have the sizes of ``matrix``, "256x230".

    What k-space holds beyond them is cut off; the magnitude is what remains.
    """
    sizes = [int(size) for size in matrix.split("x")]
    values, affine = np.asarray(image.dataobj, np.float32), image.affine.copy()
    for axis, size in enumerate(sizes):
        old = values.shape[axis]
        if size >= old:
            continue
        spectrum = np.fft.fftshift(np.fft.fft(values, axis=axis), axes=axis)
        first = old // 2 - size // 2
        spectrum = np.take(spectrum, range(first, first + size), axis=axis)
        back = np.fft.ifft(np.fft.ifftshift(spectrum, axes=axis), axis=axis)
        values = np.abs(back).astype(np.float32) * (size / old)
        affine[:3, axis] *= old / size
    return nibabel.Nifti1Image(values, affine)


def integers(image: nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    """Return a volume as int16 where that loses nothing, else as float32."""
    values = np.asarray(image.dataobj, np.float32)
    whole = np.array_equal(values, np.rint(values)) and np.abs(values).max() < 32768
    kept = nibabel.Nifti1Image(values.astype(np.int16 if whole else np.float32), image.affine)
    kept.header.set_xyzt_units("mm")
    return kept


def make(row: dict[str, str], clones: Path) -> nibabel.Nifti1Image:
    """Return the volume of one row of the table."""
    files = read_files(clones, row)
    if re.search(r"nii(\\?\.gz)?$", row["path"]):
        image = read_nifti(files[0], row["volume"], row["slices"])
    else:
        image = read_series(files, row["series"])
    return integers(measured(image, row["matrix"]) if row["matrix"] else image)


def main(arguments: list[str] | None = None) -> int:
    """Write all volumes; return the exit code."""
    options = arguments_for(__doc__, VOLUMES).parse_args(arguments)
    folder = options.data / "mr_more"
    folder.mkdir(parents=True, exist_ok=True)
    for row in read_table(options.table):
        file = folder / row["file"]
        if not file.exists():
            part = folder / f".part_{row['file']}"
            nibabel.save(make(row, options.clones), part)
            part.rename(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
