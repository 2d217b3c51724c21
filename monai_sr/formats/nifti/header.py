"""Reads the geometry of a NIfTI header, and says where it cannot be believed.

NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1 (fields pixdim, xyzt_units, qform_code,
sform_code). Nothing is mended: the result keeps the source's header, and what was guessed is said.
"""

import gzip
import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.fileholders import FileHolder
from nibabel.spatialimages import HeaderDataError

from monai_sr.core import (
    BadImageError,
    PathLike,
    check_memory,
    exact_float,
    get_logger,
    head,
    kept,
    once,
    reading,
)
from monai_sr.formats.nifti.quaternion import shorten

logger = get_logger(__name__)

DAMAGE_ERRORS = (
    ImageFileError,
    HeaderDataError,
    OSError,
    EOFError,
    MemoryError,
    OverflowError,
    ValueError,
    zlib.error,
)
"""What nibabel and gzip raise, by experiment, on damaged files."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_FIRST_BYTES = 1024  # as nibabel looks at; a header of NIfTI-2 has 540
# What nibabel takes for NIfTI by its name.
_NAMES = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
_UNIT_MM = {1: 1000.0, 2: 1.0, 3: 0.001}  # NIFTI_UNITS_METER, _MM, _MICRON
_UNIT_BITS = 0x07  # of xyzt_units; the others are the unit of time
# From single cells under a microscope to a whole body in one voxel.
_PLAUSIBLE_MM = (1e-5, 100.0)
# float32 digits of a whole scanner's field; rotations by quaternions keep fewer than matrices.
_SAME = 1e-2
GZIP_SLACK = 2**24
"""Bytes beside the voxels of a compressed file, for header and extensions."""

_GZIP_RATIO = 1032  # the most that deflate (RFC 1951) packs
_LONGEST_EXTENSIONS = 2**28  # bytes before the voxels; the longest known are XML of some megabytes
_HEADER, _VOXELS = ".hdr", ".img"
_NIFTI_1_BYTES, _NIFTI_2_BYTES = 348, 540
_MAGIC_1, _MAGIC_2 = b"ni1\0", b"ni2\0\r\n\x1a\n"
_MAGIC_AT = 344


def load_nifti(path: PathLike, stream: Any = None, **kwargs: Any) -> Any:
    """Return what ``nibabel.load`` does, also of a file of another name.

    The bytes that are kept of a file are taken where they are. A quaternion that rounding has made
    a little longer than 1 is shortened, as the reference code of NIfTI-1 does; nibabel refuses it.

    Args:
        path: the file, of a pair the header.
        stream: the same, open for as long as the image is used.
        **kwargs: options of ``nibabel.load``, which then reads the file itself.
    """
    if stream is None and not kwargs and (found := kept(path)) is not None:
        stream = io.BytesIO(found)
    try:
        return _loaded(path, stream, **kwargs)
    except ValueError:  # it is of the affine, of which all images make theirs
        image = _with_shorter_quaternion(path, stream, **kwargs)
        if image is None:
            raise
        return image


def _loaded(path: PathLike, stream: Any, **kwargs: Any) -> Any:
    if stream is None and str(path).lower().endswith(_NAMES):
        return nib.load(path, **kwargs)
    first = first_bytes(path)
    kinds = (nib.Nifti1Image, nib.Nifti2Image)
    kind = next((k for k in kinds if k.header_class.may_contain_header(first)), None)
    if kind is None:
        return nib.load(path, **kwargs)
    if stream is not None and _is_packed(path):
        stream = gzip.GzipFile(fileobj=stream)
    return kind.from_file_map({"image": FileHolder(str(path), stream)}, **kwargs)


def _with_shorter_quaternion(path: PathLike, stream: Any, **kwargs: Any) -> Any:
    """Return an image whose quaternion is shortened to 1; None where it is not a little longer."""
    header_file, voxel_file = pair_of(path) or (path, path)
    first = first_bytes(header_file)
    kinds = (nib.Nifti1Image, nib.Nifti2Image)
    if header_file != voxel_file:
        kinds = (nib.Nifti1Pair, nib.Nifti2Pair)
    kind: Any = next((k for k in kinds if k.header_class.may_contain_header(first)), None)
    if stream is not None and _is_packed(path):
        stream = gzip.GzipFile(fileobj=stream)
    files = {"header": FileHolder(str(header_file), stream)}
    files["image"] = FileHolder(str(voxel_file), stream)
    with files["header"].get_prepare_fileobj("rb") as opened:
        header = None if kind is None else kind.header_class.from_fileobj(opened)
    if header is None or not shorten(header):
        return None
    voxels = kind.ImageArrayProxy(files["image"].file_like, header.copy(), **kwargs)
    return kind(voxels, header.get_best_affine(), header, file_map=files)


@once
def is_nifti2(path: PathLike) -> bool:
    """Tell whether a file is NIfTI-2."""
    return isinstance(load_nifti(path).header, nib.Nifti2Header)


@once
def first_bytes(path: PathLike) -> bytes:
    """Return the first bytes of an image, unpacked: at least a header of NIfTI-2.

    Raises:
        OSError, EOFError, zlib.error: they cannot be read.
    """
    first = head(path)
    with suppress(zlib.error):
        if _is_packed(path):
            first = zlib.decompressobj(_GZIP_WINDOW).decompress(first, _FIRST_BYTES)
        if len(first) >= _FIRST_BYTES:
            return first[:_FIRST_BYTES]
    with reading(path) as plain:
        stream: Any = gzip.GzipFile(fileobj=plain) if _is_packed(path) else plain
        return bytes(stream.read(_FIRST_BYTES))


def _is_packed(path: PathLike) -> bool:
    return str(path).lower().endswith(".gz")


def raw_header(path: Path, image: Any) -> Any:
    """Read the header as stored: image objects mend pixdim and hide scl_slope and scl_inter.

    Args:
        path: file of the image.
        image: nibabel image, for the version of the format.

    Returns:
        A header of the image's class.
    """
    kind = type(image.header)
    return kind(first_bytes(path)[: kind.template_dtype.itemsize], check=False)


def source_affine(image: Any) -> npt.NDArray[np.float64]:
    """Return the voxel-to-world matrix.

    Args:
        image: nibabel image.

    Returns:
        (4, 4) RAS+, in the file's unit; the identity where the declared one cannot be inverted.
    """
    affine = np.asarray(image.affine, dtype=np.float64)
    return affine if _is_invertible(affine) else np.eye(4)


def unit_mm(path: Path, image: Any) -> float:
    """Return the millimeters of one unit of the affine; NaN where lengths cannot be trusted.

    Every doubt about the geometry is logged as a warning that names the file and the remedy.

    Args:
        path: file of the image.
        image: nibabel image.
    """
    header = raw_header(path, image)
    unit = _UNIT_MM.get(int(header["xyzt_units"]) & _UNIT_BITS)
    for doubt in _doubts(image, header):
        logger.warning("%s: %s", path, doubt)
    if unit is None:
        logger.warning(
            "%s: declares no unit of length, mm are assumed; set xyzt_units (nibabel: "
            "header.set_xyzt_units('mm'))",
            path,
        )
        unit = 1.0
    if not _is_invertible(image.affine) or not (_has_sizes(header) or int(header["sform_code"])):
        return float("nan")
    sizes = unit * np.linalg.norm(image.affine[:3, : _rank(header)], axis=0)
    if sizes.min() < _PLAUSIBLE_MM[0] or sizes.max() > _PLAUSIBLE_MM[1]:
        logger.warning(
            "%s: voxels of %s mm are not plausible; correct pixdim and affine, or xyzt_units",
            path,
            _text(sizes),
        )
        return float("nan")
    return unit


def _doubts(image: Any, header: Any) -> Iterator[str]:
    """Say where the header contradicts itself or says too little."""
    sizes = header["pixdim"][1 : 1 + _rank(header)]
    qform_code, sform_code = int(header["qform_code"]), int(header["sform_code"])
    if not _has_sizes(header):
        yield f"voxel sizes are {_text(sizes)}; lengths cannot be trusted, correct pixdim"
    if not _is_invertible(image.affine):
        yield "its affine cannot be inverted; voxels of 1 unit are assumed, correct its sform"
        return
    if not qform_code and not sform_code:
        yield (
            "declares neither qform nor sform; orientation is a guess, set one of them (nibabel: "
            "image.set_sform)"
        )
    if not sform_code or not _has_sizes(header):
        return
    sform = np.asarray(image.header.get_sform(), dtype=np.float64)
    if not qform_code:
        steps = np.linalg.norm(sform[:3, : len(sizes)], axis=0)
        if not np.allclose(steps, sizes, rtol=_SAME, atol=0):
            yield (
                f"sform has voxels of {_text(steps)}, pixdim says {_text(sizes)}; sform is used, "
                "correct the other"
            )
        return
    qform = qform_of(image)
    if not np.isfinite(qform).all():
        yield "qform is no rotation; sform is used, set it again (nibabel: image.set_qform)"
        return
    is_mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
    # Forms of two codes are two spaces (scanner and template), which differ by right.
    apart = _apart(sform, qform, image.shape) if qform_code == sform_code else 0.0
    if is_mirrored or apart > _SAME:
        how = "mirror each other" if is_mirrored else f"differ by up to {apart:.3g} units"
        yield f"sform and qform {how}; sform is used, copy one to the other (image.set_qform)"


def qform_of(image: Any) -> npt.NDArray[np.float64]:
    """Return the matrix of qform, NaN where no rotation has its quaternion."""
    header = image.header.copy()
    shorten(header)
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except (HeaderDataError, ValueError):
        return np.full((4, 4), np.nan)


def _apart(sform: npt.NDArray[Any], qform: npt.NDArray[Any], shape: tuple[int, ...]) -> float:
    """Return how far the two forms place a corner of the image apart, beyond float32 digits."""
    last = np.array([*shape[:3], 1, 1, 1][:3]) - 1.0
    corners = np.stack(np.meshgrid(*zip(np.zeros(3), last, strict=True)), -1).reshape(-1, 3)
    places = [corners @ form[:3, :3].T + form[:3, 3] for form in (sform, qform)]
    distance = float(np.linalg.norm(places[0] - places[1], axis=1).max())
    return distance if distance > _SAME * np.linalg.norm(sform[:3, :3], axis=0).min() else 0.0


def _rank(header: Any) -> int:
    return int(np.clip(int(header["dim"][0]), 1, 3))


def _has_sizes(header: Any) -> bool:
    sizes = header["pixdim"][1 : 1 + _rank(header)]
    return bool(np.isfinite(sizes).all() and (sizes > 0).all())


def _is_invertible(affine: npt.NDArray[np.float64]) -> bool:
    return bool(np.isfinite(affine).all() and np.linalg.det(affine[:3, :3]) != 0)


def _text(sizes: npt.NDArray[Any]) -> str:
    return " x ".join(f"{float(size):.5g}" for size in sizes)


def check_offset(path: Path) -> None:
    """Refuse voxels within the header, and absurdly far behind it: all before would be unpacked.

    Args:
        path: a NIfTI file, or one that claims to be.

    Raises:
        BadImageError: ``vox_offset`` is too small or too large.
    """
    with suppress(OSError, EOFError, zlib.error):
        head = first_bytes(path)
        for kind in (nib.Nifti1Header, nib.Nifti2Header):
            size = kind.template_dtype.itemsize
            if len(head) >= size and kind.may_contain_header(head):
                header: Any = kind(head[:size], check=False)
                offset = float(header["vox_offset"])
                # nibabel takes the bytes of the header for voxels where it is 0.
                if header["magic"].item() == kind.single_magic and not offset >= size:
                    raise BadImageError(
                        f"{path}: vox_offset must be at least {size}, got {offset:g}; export it "
                        "again."
                    )
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
