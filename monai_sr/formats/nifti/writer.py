"""Writes enlarged NIfTI images with the source's header, raw values untouched by scaling.

NIfTI-1 data format, https://nifti.nimh.nih.gov/nifti-1 (fields pixdim, qform, sform, scl_slope,
descrip; header extensions, code 6 = comment).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Extension
from nibabel.openers import ImageOpener

from monai_sr.core import OutputError, PathLike, atomic_file
from monai_sr.formats.facts import Facts
from monai_sr.formats.identity import check_unchanged
from monai_sr.formats.naming import check_output_size
from monai_sr.formats.nifti.header import load_nifti, qform_of, raw_header, source_affine
from monai_sr.formats.nifti.reader import stored_layout
from monai_sr.formats.raster.keep_list import is_deidentified
from monai_sr.formats.stored import (
    MAP_MEANING,
    StoredWriter,
    as_stored,
    check_moved,
    disclaimer,
    map_meaning,
    provenance_of,
    software,
    source_path,
)
from monai_sr.geometry import axis_places, grid_change, is_turned

_COMMENT = 6  # extension code of plain text
_TEXTS = ("data_type", "db_name", "aux_file", "intent_name", "descrip", "unused_str")
_OF_GRID = (2, 4, 10, 14, 28)  # extensions that say it: of DICOM, AFNI, Jim, FreeSurfer, VoxBo
_DCMMETA = b'"dcmmeta_shape"'  # of dcmstack, which has no code of its own
_SAME_SLICES = 1e-2  # of a slice: float32 digits of a whole scanner's field
_UNUSED = ("extents", "session_error", "glmax", "glmin")


class NiftiWriter(StoredWriter):
    """Write a result as NIfTI-1 or NIfTI-2, whichever the source is, with its header, in one file.

    Of a de-identified result, texts and extensions are left out but for our own.

    Kept: dtype (RGB too), number of axes, scl_slope and scl_inter bit by bit, qform and sform
    codes, units, intent, extensions. Rewritten: dim, pixdim, qform, sform, descrip, and dim_info of
    a turned image; a comment extension takes the provenance. Left out: extensions that describe the
    source's grid, and slice times where slices are others.
    """

    def write(self, filename: PathLike, verbose: bool = True, **kwargs: Any) -> None:
        """Write the file; it appears whole or not at all.

        Args:
            filename: ends in .nii or .nii.gz.
            verbose: log the name.
            **kwargs: options of MONAI's other writers, not used.

        Raises:
            OutputError: the format cannot hold the result, or the file cannot be written.
        """
        super().write(filename, verbose=verbose)
        name = Path(filename).name.lower()
        if not name.endswith((".nii", ".nii.gz")):
            raise OutputError(
                f"{filename}: must end in .nii or .nii.gz, got '{Path(filename).suffix}'; "
                "choose one of these names."
            )
        source = source_path(self._meta, "nifti", filename)
        suffix = ".nii.gz" if name.endswith(".gz") else ".nii"
        check_output_size(suffix, self._array.shape, source)
        image: Any = load_nifti(source)
        channels = as_stored(self._array, self._meta, filename)
        dtype = image.header.get_data_dtype()
        stored = stored_layout(channels, image.shape, dtype.newbyteorder("="))
        header = _header(image, stored.shape, self._meta, filename)
        is_second = isinstance(header, nib.Nifti2Header)
        result: Any = (nib.Nifti2Image if is_second else nib.Nifti1Image)(stored, None, header)
        # Both fields as found: nibabel then stores the array as it is and does not rescale.
        raw = raw_header(source, image)
        result.header["scl_slope"], result.header["scl_inter"] = raw["scl_slope"], raw["scl_inter"]
        with atomic_file(filename) as temporary:
            write_image(result, temporary)
            check_unchanged(Facts(self._meta).input)


def write_image(image: Any, path: Path) -> None:
    """Write a NIfTI image of one file; nibabel's own way leaves it open where the disk is full."""
    with ImageOpener(path, "wb") as stream:
        image.to_stream(stream)


def write_map(
    result: Path, target: Path, half_width: npt.NDArray[np.float32], meta: Mapping[str, Any]
) -> None:
    """Write a map of uncertainty, see :mod:`monai_sr.formats.naming`."""
    image: Any = nib.load(result)
    slope = float(raw_header(result, image)["scl_slope"])
    if np.isfinite(slope) and slope != 0:
        half_width = half_width * np.float32(abs(slope))
    if image.header.get_data_dtype().names:  # RGB: one volume each
        values = np.moveaxis(half_width.reshape(-1, *(*half_width.shape[1:], 1)[:3]), 0, -1)
    else:
        values = stored_layout(half_width, image.shape, np.dtype(np.float32))
    header = image.header.copy()
    header.set_data_dtype(np.float32)
    _set_shape(header, values.shape)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header.set_intent("none")  # the half width of a p-value is none
    header["descrip"] = MAP_MEANING.encode()
    if (told := map_meaning(meta)) != MAP_MEANING:  # longer than that field
        header.extensions.append(Nifti1Extension(_COMMENT, told.encode()))
    with atomic_file(target) as temporary:
        write_image(type(image)(values, None, header), temporary)


def _header(
    image: Any,
    shape: tuple[int, ...],
    meta: Mapping[str, Any],
    filename: PathLike,
) -> Any:
    matrix, scale = grid_change(source_affine(image), np.asarray(meta["affine"]))
    check_moved(filename, scale, shape, image.shape)
    header = _of_one_file(image.header)
    _set_shape(header, shape)
    _move_pixdim(header, matrix, scale)
    # sform and qform may differ (scanner and template space): each moves in its own space.
    sform, sform_code = image.header.get_sform(coded=True)
    qform, qform_code = qform_of(image), int(image.header["qform_code"])
    # One that is no matrix stays as broken as it is.
    with np.errstate(invalid="ignore", over="ignore"):
        if qform_code and np.isfinite(qform @ matrix).all():
            header.set_qform(qform @ matrix, qform_code)
        if sform_code and np.isfinite(sform @ matrix).all():
            header.set_sform(sform @ matrix, int(sform_code))
    places = axis_places(source_affine(image), np.asarray(meta["affine"]))
    _move_slices(header, matrix, places, image.shape)
    header.extensions[:] = [each for each in header.extensions if not _says_grid(each)]
    if is_deidentified(meta):
        _drop_texts(header)
    said = disclaimer(provenance_of(meta))
    header["descrip"] = f"{said}; {software(meta)}"[:79].encode("ascii", "replace")
    if Facts(meta).provenance:
        note = Nifti1Extension(_COMMENT, Facts(meta).provenance.encode())
        header.extensions.append(note)
    return header


def _says_grid(extension: Any) -> bool:
    """Tell whether an extension repeats shape or affine, which are others now."""
    content = extension.get_content() if extension.get_code() not in _OF_GRID else _DCMMETA
    return isinstance(content, bytes) and _DCMMETA in content


def _drop_texts(header: Any) -> None:
    """Empty every field of characters, those that only ANALYZE used included, and extensions."""
    for name in set(_TEXTS) & set(header.keys()):
        header[name] = b""
    for name in set(_UNUSED) & set(header.keys()):
        header[name] = 0
    header.extensions.clear()


def _of_one_file(header: Any) -> Any:
    """Copy a header, that of a pair (.hdr, .img) as that of a file which holds both."""
    if header.is_single:
        return header.copy()
    kind = nib.Nifti2Header if isinstance(header, nib.nifti2.Nifti2PairHeader) else nib.Nifti1Header
    single: Any = kind(header.binaryblock, header.endianness, False, header.extensions)
    single["magic"], single["vox_offset"] = kind.single_magic, 0
    return single


def _set_shape(header: Any, shape: tuple[int, ...]) -> None:
    """Set a shape, but keep the sizes of absent axes: the fourth of one volume is its time step."""
    sizes = header["pixdim"].copy()
    header.set_data_shape(shape)  # sets them to 1
    unused = slice(1 + len(shape), None)
    header["pixdim"][unused] = sizes[unused]


def _move_pixdim(
    header: Any, matrix: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]
) -> None:
    """Divide voxel sizes by the scale; of a turned image each axis gets those that it runs along.

    Args:
        header: of the result, with the sizes of the source.
        matrix: indices of the result -> indices of the source.
        scale: of each axis.
    """
    axes = min(3, int(header["dim"][0]))
    if is_turned(matrix, axes):
        sizes = np.asarray(header["pixdim"][1 : 1 + axes], dtype=np.float64)
        moved = np.linalg.norm(sizes[:, None] * matrix[:axes, :axes], axis=0)
    else:
        moved = header["pixdim"][1 : 1 + axes] / scale[:axes]
    header["pixdim"][1 : 1 + axes] = moved


def _move_slices(
    header: Any, matrix: npt.NDArray[np.float64], places: list[int], shape: tuple[int, ...]
) -> None:
    """Name the axes of the acquisition as they lie; forget slice times where slices are others.

    Args:
        header: of the result, with its shape.
        matrix: indices of the result -> indices of the source.
        places: of the source's axes in the result.
        shape: of the source.
    """
    axes = header.get_dim_info()
    header.set_dim_info(*(None if axis is None else places[axis] for axis in axes))
    if axes[2] is None:
        return
    old, new = axes[2], places[axes[2]]
    same = np.zeros(4)
    same[new] = 1
    sizes = ((*s, 1, 1)[:3] for s in (shape, header.get_data_shape()))
    was, size = (sides[axis] for sides, axis in zip(sizes, (old, new), strict=True))
    if was != size or not np.allclose(matrix[old], same, rtol=0, atol=_SAME_SLICES):
        header["slice_start"], header["slice_end"] = 0, 0
        header["slice_code"], header["slice_duration"] = 0, 0
