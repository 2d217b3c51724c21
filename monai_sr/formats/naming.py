"""Names the outputs: format by a stated rule, no two results alike, sizes checked beforehand.

| source | result |
|---|---|
| DICOM file / series folder | ``.dcm`` / folder |
| NRRD | ``.nrrd`` |
| OME-Zarr | ``.zarr`` or ``.ome.zarr``, as the source |
| NIfTI | ``.nii`` or ``.nii.gz``, as the source; a pair (.hdr, .img): ``.nii`` |
| TIFF, GeoTIFF | ``.tif`` |
| PNG, BMP and formats that lose data or cannot be written (JPEG, WebP, GIF, JPEG 2000, VRT, ...) | ``.png`` for 1 to 4 channels of uint8 or uint16 without georeference, else ``.tif`` |

PNG has no place for masks, names and domains of bands, scales and offsets, units and nodata of
several bands either: inputs with one of these become ``.tif``, too. Names that leave no room for what
lies beside a result are cut, and end in a hash.
"""  # noqa: E501 - a table row

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_sr.core import OutputError, sha256
from monai_sr.formats.facts import Facts
from monai_sr.formats.registry import FORMATS, format_of, format_of_meta, format_of_suffix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monai_sr.core import PathLike
    from monai_sr.formats.format import Format

# A name such as 1.2.840.113 has no extension; one begins with a letter: .tif, .j2k.
_EXTENSION = re.compile(r"\.(nii|hdr|img)\.gz$|\.ome\.zarr$|\.[a-z][a-z0-9]{0,7}$", re.IGNORECASE)
_ZIP = re.compile(r"\.zip$", re.IGNORECASE)  # of a series; folders have no extension
_MARK = "_uncertainty"
_SUFFIXES = sorted({end for form in FORMATS for end in form.side_limits if end}, key=len)[::-1]


def output_suffix(
    source: PathLike | Mapping[str, Any],
    dtype: str | None = None,
    channels: int | None = None,
    georeferenced: bool | None = None,
) -> str:
    """Choose the extension of a result by the table at the top of this file.

    Args:
        source: path of the input, or the meta of a sample read from it.
        dtype: stored dtype; None reads the source's header.
        channels: number of channels; None reads the source's header.
        georeferenced: whether PNG would lose where the image lies, or what else the top of this
            file names; None reads the header.

    Returns:
        ".dcm", ".nii", ".nii.gz", ".tif", ".png", or "" for a folder (DICOM series).

    Raises:
        BadImageError: the header is needed and no image can be opened.
    """
    path, form, is_series = _source(source)
    return "" if is_series else form.output_suffix(path, dtype, channels, georeferenced)


def plan_outputs(
    sources: Sequence[Path],
    root: Path,
    output_dir: Path,
    scale: float,
    suffix_of: Callable[[Path], str],
    spacing: float | Sequence[float | None] | None = None,
    unit_of: Callable[[Path], str] | None = None,
) -> list[Path]:
    """Name the result of every input of one run: ``<folder>/<stem>_x<scale><suffix>``.

    Where a spacing was asked for, it takes the place of the scale: ``<stem>_0.5mm<suffix>``.

    Inputs that would share a result (a.png and a.jpg) get ``<stem>_<extension>_x<scale>``, and
    where that is still shared, a short hash of the path below ``root``. No result takes the name
    of an input. The names do not depend on the order of the inputs.

    Args:
        sources: files, and folders of DICOM series.
        root: the input that the user named; folders below it are repeated in the output.
        output_dir: where the results go.
        scale: enlargement, part of the name.
        suffix_of: extension of the result of a source, such as :func:`output_suffix`.
        spacing: spacing that was asked for, one or one for each axis.
        unit_of: unit of the spacing of a source, such as :func:`spacing_unit`; None: mm.

    Returns:
        One path per source, in the order of the sources.

    Example:
        >>> from pathlib import PurePosixPath
        >>> files = [Path("in/a.png"), Path("in/a.jpg"), Path("in/b.nii.gz")]
        >>> plan = plan_outputs(files, Path("in"), Path("out"), 4, lambda p: "".join(p.suffixes))
        >>> [p.name for p in plan]
        ['a_x4.png', 'a_x4.jpg', 'b_x4.nii.gz']
    """
    suffixes = {source: suffix_of(source) for source in sources}
    units = {s: "mm" if spacing is None or unit_of is None else unit_of(s) for s in sources}
    taken = {_key(source) for source in sources}
    levels = dict.fromkeys(suffixes, 0)
    while True:
        names = {
            source: output_dir
            / _name(
                source, root, result_mark(scale, spacing, units[source]), suffixes[source], level
            )
            for source, level in levels.items()
        }
        sharing: dict[str, list[Path]] = defaultdict(list)
        for source, name in names.items():
            sharing[_key(name)].append(source)
        clashing = [
            source
            for key, group in sharing.items()
            if len(group) > 1 or key in taken
            for source in group
            if levels[source] < len(_HASH_DIGITS) - 1
        ]
        if not clashing:
            return [names[source] for source in sources]
        for source in clashing:
            levels[source] += 1


def check_output_size(suffix: str, shape: Sequence[int], source: PathLike | None = None) -> None:
    """Refuse, before hours of work, a size that the format of the result cannot hold.

    Args:
        suffix: extension of the result as :func:`output_suffix` gives it.
        shape: (C, X, Y[, Z]) of the result.
        source: the input; a NIfTI-2 file lifts the limit of NIfTI-1.

    Raises:
        OutputError: a side is too long.
    """
    form = format_of_suffix(suffix)
    limit, remedy = form.side_limits[suffix.lower()]
    longest = max(shape if form.counts_depth else shape[1:3])
    if longest <= limit or (source is not None and form.lifts_limit(source)):
        return
    raise OutputError(
        f"{source or 'output'}: {suffix or 'a DICOM series'} holds at most {limit} per side, got "
        f"{longest}; {remedy} or choose a smaller scale."
    )


def image_stem(path: PathLike) -> str:
    """Return the name of an image without folders and extension, of .nii.gz without both."""
    name = Path(path).name
    has_two = name.lower().endswith((".gz", ".ome.zarr"))
    return name.partition(".")[0] if has_two else Path(name).stem


# Hash digits per level: plain name, name with extension, short hash, full hash.
_HASH_DIGITS = (0, 0, 8, 64)
# Bytes: systems take 255, and a map's side-car and a hash lengthen the name of a result.
_LONGEST_NAME = 220


def result_mark(
    scale: float, spacing: float | Sequence[float | None] | None = None, unit: str = "mm"
) -> str:
    """Return what names of results end in: "_x4", "_x2.5", "_0.5mm", "_0.5x0.5x1mm", "_10m"."""
    if spacing is None:
        return f"_x{scale:g}" if isinstance(scale, int | float) else f"_x{scale}"
    given = [spacing] if isinstance(spacing, int | float) else spacing
    return "_" + "x".join("-" if s is None else f"{s:g}" for s in given) + unit


def spacing_unit(source: Path) -> str:
    """Return the unit of ``--spacing`` as names of results show it, without spaces.

    Args:
        source: a file, or the folder of a DICOM series.

    Returns:
        "mm", or for rasters the unit of their geotransform: "m", "degree", "USsurveyfoot".
    """
    return format_of(source).spacing_unit(source)


def _name(source: Path, root: Path, mark: str, suffix: str, level: int) -> Path:
    inside = source.relative_to(root) if source.is_relative_to(root) else Path(source.name)
    found = (_ZIP if suffix == "" else _EXTENSION).search(source.name)
    stem = source.name[: found.start()] if found else source.name
    if level >= 1 and found:
        stem += "_" + found.group()[1:].replace(".", "_").lower()
    if _HASH_DIGITS[level]:
        digest = sha256(inside.as_posix())
        stem += "_" + digest[: _HASH_DIGITS[level]]
    room = _LONGEST_NAME - len(os.fsencode(f"{mark}{suffix}"))
    if len(os.fsencode(stem)) > room:
        end = f"_{sha256(inside.as_posix())[:8]}"
        while len(os.fsencode(stem)) > room - len(end):
            stem = stem[:-1]  # a letter may be several bytes
        stem += end
    return inside.parent / f"{stem}{mark}{suffix}"


def _key(path: Path) -> str:
    """Return what tells files apart everywhere: some file systems ignore case."""
    return str(path.absolute()).casefold()


def _source(source: PathLike | Mapping[str, Any]) -> tuple[Path, Format, bool]:
    """Return the first file, its format, and whether it is one of several."""
    if not isinstance(source, Mapping):
        return Path(source), format_of(source), False
    files = Facts(source).files
    return Path(files[0]), format_of_meta(source), len(files) > 1


def stem_and_suffix(result: Path) -> tuple[str, str]:
    """Divide the name of a result; only the extensions of our formats count as such."""
    suffix = next((s for s in _SUFFIXES if result.name.lower().endswith(s)), "")
    return result.name[: len(result.name) - len(suffix)], suffix


def uncertainty_path(result: PathLike) -> Path:
    """Name the map that belongs to a result.

    Args:
        result: file, or the folder of a DICOM series, whose map is one multi-frame file.

    Returns:
        ``<name>_uncertainty`` with the result's extension; PNG holds no floats: ``.tif``.

    Example:
        >>> uncertainty_path("out/a_x4.png").name
        'a_x4_uncertainty.tif'
    """
    path = Path(result)
    stem, suffix = stem_and_suffix(path)
    return path.with_name(f"{stem}{_MARK}{ {'.png': '.tif', '': '.dcm'}.get(suffix, suffix) }")


def write_uncertainty(result: PathLike, meta: Mapping[str, Any]) -> Path:
    """Write the map of a result that is already written.

    Args:
        result: the written file or folder.
        meta: its metadata, with fact ``uncertainty`` (C, X, Y[, Z]) in stored units.

    Returns:
        The written file.

    Raises:
        OutputError: it cannot be written.
        MissingDependencyError: a DICOM map needs highdicom.
    """
    target = uncertainty_path(result)
    half_width = np.asarray(Facts(meta).uncertainty, dtype=np.float32)
    format_of_meta(meta).write_map(Path(result), target, half_width, meta)
    return target


def report_path(result: PathLike) -> Path:
    """Return ``<name>_report.html`` beside a result.

    Example:
        >>> report_path("out/a_x4.nii.gz").name
        'a_x4_report.html'
    """
    path = Path(result)
    return path.with_name(f"{stem_and_suffix(path)[0]}_report.html")
