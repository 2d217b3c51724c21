"""Readers: file -> stored values and metadata. Each serves MONAI's ``LoadImage`` unchanged."""

from __future__ import annotations

from collections.abc import Sequence

from monai.data import ImageReader

from monai_sr.core import gdcm_import  # noqa: F401 - before pydicom
from monai_sr.core.types import PathLike
from monai_sr.readers.dicom import DicomReader
from monai_sr.readers.dicom_files import is_dicom
from monai_sr.readers.dicom_series import find_series, find_volumes
from monai_sr.readers.meaning import INTENSITY
from monai_sr.readers.nifti import NiftiReader
from monai_sr.readers.raster import RasterReader
from monai_sr.readers.sentinel2 import is_product


def find_reader(source: PathLike | Sequence[PathLike], kind: str = INTENSITY) -> ImageReader:
    """Choose the reader for a file, or for the files of a DICOM series, by name and content.

    NIfTI goes by its suffix, DICOM by suffix or content, the rest to GDAL.

    Args:
        source: the file or files.
        kind: what the values mean, see :mod:`monai_sr.readers.meaning`.
    """
    if isinstance(source, Sequence) and not isinstance(source, str):
        return DicomReader(kind)
    if NiftiReader().verify_suffix(source):
        return NiftiReader(kind)
    named_dicom = str(source).lower().endswith((".dcm", ".dicom", ".ima"))
    return DicomReader(kind) if named_dicom or is_dicom(source) else RasterReader(kind)


__all__ = [
    "DicomReader",
    "NiftiReader",
    "RasterReader",
    "find_reader",
    "find_series",
    "find_volumes",
    "is_dicom",
    "is_product",
]
