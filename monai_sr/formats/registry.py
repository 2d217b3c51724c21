"""Which reader serves a file."""

from __future__ import annotations

from collections.abc import Sequence

from monai.data import ImageReader

from monai_sr.core.types import PathLike
from monai_sr.formats.dicom.files import is_dicom
from monai_sr.formats.dicom.reader import DicomReader
from monai_sr.formats.meaning import INTENSITY
from monai_sr.formats.nifti.reader import NiftiReader
from monai_sr.formats.raster.reader import RasterReader


def find_reader(source: PathLike | Sequence[PathLike], kind: str = INTENSITY) -> ImageReader:
    """Choose the reader for a file, or for the files of a DICOM series, by name and content.

    NIfTI goes by its suffix, DICOM by suffix or content, the rest to GDAL.

    Args:
        source: the file or files.
        kind: what the values mean, see :mod:`monai_sr.formats.meaning`.
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        return DicomReader(kind)
    if NiftiReader().verify_suffix(source):
        return NiftiReader(kind)
    named_dicom = str(source).lower().endswith((".dcm", ".dicom", ".ima"))
    return DicomReader(kind) if named_dicom or is_dicom(source) else RasterReader(kind)
