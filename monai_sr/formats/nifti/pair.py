"""Finds the other file of an image that lies in two: header (.hdr) and voxels (.img).

NIfTI-1, field magic: "ni1" says that the voxels are in another file; NIfTI-2: "ni2". ANALYZE 7.5, the
older form, has no such field. ENVI and other formats use the same two names for text headers.
"""  # noqa: E501 - a sentence

import gzip
import os
import struct
import zlib
from pathlib import Path

from monai_sr.core import PathLike, once

_HEADER, _VOXELS = ".hdr", ".img"
_NIFTI_1_BYTES, _NIFTI_2_BYTES = 348, 540
_MAGIC_1, _MAGIC_2 = b"ni1\0", b"ni2\0\r\n\x1a\n"
_MAGIC_AT = 344


def pair_of(path: PathLike) -> tuple[Path, Path] | None:
    """Return header and voxels of the pair that a file belongs to; None where it is in none.

    Args:
        path: either file; both may end in .gz.

    Returns:
        Two paths; that of the voxels may not exist.
    """
    path = Path(path)
    ends = _ends(path.name)
    if ends is None:
        return None
    stem, suffix, zipped = ends
    header = path if suffix.lower() == _HEADER else _other(path, stem, suffix, _HEADER, zipped)
    if not _is_header(header):
        return None
    voxels = path if suffix.lower() == _VOXELS else _other(path, stem, suffix, _VOXELS, zipped)
    return header, voxels


def is_analyze(header: Path) -> bool:
    """Tell whether the header of a pair is ANALYZE 7.5, which says of no axis where it points."""
    head = _head(header)
    return head[_MAGIC_AT:_NIFTI_1_BYTES] != _MAGIC_1 and head[4:12] != _MAGIC_2


def _ends(name: str) -> tuple[str, str, str] | None:
    stem, zipped = (name[:-3], name[-3:]) if name.lower().endswith(".gz") else (name, "")
    root, suffix = os.path.splitext(stem)
    return (root, suffix, zipped) if suffix.lower() in (_HEADER, _VOXELS) else None


def _other(path: Path, stem: str, suffix: str, wanted: str, zipped: str) -> Path:
    wanted = wanted.upper() if suffix.isupper() else wanted
    plain, packed = (path.with_name(f"{stem}{wanted}{end}") for end in ("", zipped or ".gz"))
    first, second = (packed, plain) if zipped else (plain, packed)
    return second if second.is_file() and not first.is_file() else first


def _is_header(path: Path) -> bool:
    head = _head(path)
    if len(head) < _NIFTI_1_BYTES:
        return False
    sizes = {struct.unpack(order, head[:4])[0] for order in ("<i", ">i")}
    is_first = _NIFTI_1_BYTES in sizes and head[_MAGIC_AT:_NIFTI_1_BYTES] != b"n+1\0"
    return is_first or (_NIFTI_2_BYTES in sizes and head[4:12] == _MAGIC_2)


@once
def _head(path: PathLike) -> bytes:
    try:
        with gzip.open(path) if str(path).lower().endswith(".gz") else open(path, "rb") as stream:
            return stream.read(_NIFTI_2_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""
