"""NIfTI as a format: one file (.nii, .nii.gz) or header and voxels apart (.hdr, .img)."""

import struct
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from monai_sr.core import PathLike, reading
from monai_sr.formats.format import CT, MRI, NATURAL, UNKNOWN, Format, Head, Subject
from monai_sr.formats.nifti.header import DAMAGE_ERRORS, is_nifti2, load_nifti, pair_of

# NIfTI-1 and -2: bytes of the header, where and what the magic of a single file is.
_SINGLES = ((348, 344, b"n+1\0"), (540, 4, b"n+2\0\r\n\x1a\n"))
_SIDE_LIMIT = (2**15 - 1, "convert the input to NIfTI-2")  # dim is int16

_AIR_HU = (-1200.0, -900.0)  # of air in CT; volumes of other modalities do not reach so low
_FILL_HU = -2000.0  # below: what scanners put outside the circle of reconstruction


class Nifti(Format):
    """NIfTI-1 and NIfTI-2."""

    name = "nifti"
    title = "NIfTI"
    suffixes = (".nii", ".nii.gz")
    pair_suffixes = (".hdr", ".img")
    reader_name = "monai_sr.formats.nifti.reader:NiftiReader"
    writer_name = "monai_sr.formats.nifti.writer:NiftiWriter"
    map_name = "monai_sr.formats.nifti.writer:write_map"
    side_limits = {".nii": _SIDE_LIMIT, ".nii.gz": _SIDE_LIMIT}  # noqa: RUF012
    has_flat_volumes = True
    is_upward = True

    def claims(self, head: Head) -> bool:
        """Look for the magic, and the size of the header in either order of bytes."""
        data = head.unpacked
        for size, at, magic in _SINGLES:
            sizes = (struct.pack("<i", size), struct.pack(">i", size))
            if data[at : at + len(magic)] == magic and data.startswith(sizes):
                return True
        return pair_of(head.path) is not None

    def subject(self, path: Path) -> Subject:
        """Look for air in Hounsfield units, in the middle slice; the header tells nothing."""
        try:
            return _subject(path)
        except DAMAGE_ERRORS:  # its reader will say what is wrong
            return UNKNOWN

    def window(self, path: Path) -> tuple[float, float] | None:
        """Return cal_min and cal_max, which are real values, as stored ones."""
        with reading(path) if pair_of(path) is None else nullcontext() as stream:
            image = load_nifti(path, stream)
            ends = np.array([float(image.header[name]) for name in ("cal_min", "cal_max")])
            slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
        low, high = ((ends - inter) / slope).tolist()
        is_window = ends[0] < ends[1] and np.isfinite([low, high]).all() and low < high
        return (low, high) if is_window else None

    def takes_kept(self, path: Path) -> bool:
        """Tell whether it is one file."""
        return pair_of(path) is None

    def companions(self, path: Path) -> list[Path]:
        """Return header and voxels where they are apart."""
        return list(pair_of(path) or ())

    def output_suffix(
        self, path: Path, dtype: str | None, channels: int | None, georeferenced: bool | None
    ) -> str:
        """Keep compression; a pair becomes one file."""
        return ".nii.gz" if path.name.lower().endswith(".gz") else ".nii"

    def lifts_limit(self, path: PathLike) -> bool:
        """Tell whether a file is NIfTI-2, whose dim is int64."""
        return is_nifti2(path)


def _subject(path: Path) -> Subject:
    with reading(path) if pair_of(path) is None else nullcontext() as stream:
        image = load_nifti(path, stream)
        if image.get_data_dtype().names:
            return Subject(NATURAL, "it is a NIfTI image in color")
        middle = tuple(
            slice(None) if axis < 2 else slice(size // 2, size // 2 + 1)
            for axis, size in enumerate(image.shape)
        )
        values = np.array(image.dataobj[middle])
    if values.dtype.kind in "iuf":
        body = values[np.isfinite(values) & (values > _FILL_HU)]
        if body.size and _AIR_HU[0] <= float(body.min()) <= _AIR_HU[1]:
            return Subject(CT, "its values reach down to air, in Hounsfield units of CT")
    return Subject(MRI, "it is NIfTI")
