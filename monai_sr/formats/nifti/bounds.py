"""Compares what a NIfTI header declares with file and memory, before anything is allocated.

NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1 (fields dim, datatype, vox_offset).
"""

import math
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from monai_sr.core import BadImageError, check_memory, exact_float
from monai_sr.formats.nifti.header import first_bytes

GZIP_SLACK = 2**24
"""Bytes beside the voxels of a compressed file, for header and extensions."""

_GZIP_RATIO = 1032  # the most that deflate (RFC 1951) packs
_LONGEST_EXTENSIONS = 2**28  # bytes before the voxels; the longest known are XML of some megabytes


def check_offset(path: Path) -> None:
    """Refuse voxels absurdly far behind the header: all before them would be unpacked first.

    Args:
        path: a NIfTI file, or one that claims to be.

    Raises:
        BadImageError: ``vox_offset`` is too large.
    """
    with suppress(OSError, EOFError, zlib.error):
        head = first_bytes(path)
        for kind in (nib.Nifti1Header, nib.Nifti2Header):
            size = kind.template_dtype.itemsize
            if len(head) >= size and kind.may_contain_header(head):
                offset = float(kind(head[:size], check=False)["vox_offset"])
                if offset > _LONGEST_EXTENSIONS:
                    raise BadImageError(
                        f"{path}: vox_offset must be at most {_LONGEST_EXTENSIONS}, got "
                        f"{offset:g}; export it again."
                    )


def check_length(path: Path, image: Any, voxels: Path) -> None:
    """Compare what the header declares with the size of the file and the memory.

    Args:
        path: file of the image.
        image: nibabel image, its voxels not read yet.
        voxels: file that holds them: ``path``, or the other one of a pair.

    Raises:
        BadImageError: the file is too short for its ``dim``, or the memory too small.
    """
    dtype = image.get_data_dtype()
    count = math.prod(map(int, image.shape))
    most = voxels.stat().st_size
    if voxels.suffix.lower() == ".gz":
        most = most * _GZIP_RATIO + GZIP_SLACK
    if count * dtype.itemsize > most:
        raise BadImageError(
            f"{path}: must be a complete NIfTI file, got too little data for shape {image.shape}; "
            "copy or download it again."
        )
    value = dtype[0] if dtype.names else dtype
    widest = np.dtype(exact_float(value)).itemsize * max(len(dtype.names or ()), 1)
    check_memory(path, image.shape, dtype.itemsize + widest)
