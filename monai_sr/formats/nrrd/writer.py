"""Writes enlarged NRRD images with the source's header.

NRRD 5, https://teem.sourceforge.net/nrrd/format.html (space directions, space origin, axis mins,
key/value pairs).
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import numpy.typing as npt

from monai_sr.core import OutputError, PathLike, atomic_file, ignored_warnings
from monai_sr.formats.axes import stored_layout
from monai_sr.formats.facts import Facts
from monai_sr.formats.identity import check_unchanged
from monai_sr.formats.nrrd.format import Nrrd
from monai_sr.formats.nrrd.header import BZIPS, NrrdHeader, read_header
from monai_sr.formats.raster.keep_list import is_deidentified
from monai_sr.formats.stored import (
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

_LEVEL = 1  # of gzip, as nibabel's: four times as fast as 6 and hardly larger
# Of the source's file alone: where its samples are, and what they reach from and to.
_OF_SOURCE = ("data file", "line skip", "byte skip", "min", "max", "number", "block size")
# What 3D Slicer counts in samples of the source.
_IN_SAMPLES = re.compile(
    r"Segment\d+_Extent|Segmentation_(?:ReferenceImageExtentOffset|ConversionParameters)"
)
# What a de-identified result keeps: numbers, and words that the standard knows.
_NUMBERS = (
    "dimension", "space dimension", "sizes", "space directions", "space origin", "spacings",
    "thicknesses", "axis mins", "axis maxs", "measurement frame", "old min", "old max",
)  # fmt: skip
_WORDS = ("type", "endian", "encoding", "space", "kinds", "centerings", "units", "space units")
_KNOWN = re.compile(
    r"[a-z]+-(?:anterior|posterior)-superior|[lr][ap]s|scanner-xyz|3d-(?:left|right)-handed|raw"
    r"|(?:un)?signed [a-z]+(?: int)?|u?(?:char|short|int|longlong)|u?int\d+(?:_t)?|float|double"
    r"|little|big|gzip|gz|bzip2|bz2|text|txt|ascii|cell|node|none|\?\?\?|domain|space|time|list"
    r"|point|vector|covariant-vector|normal|stub|scalar|(?:rgb|[34])-color|\d-(?:vector|gradient"
    r"|normal)|[nuµmc]?m|m?s|microns?|(?:milli|micro)?meters?|",
    re.IGNORECASE,
)
_OF_AXES = ("spacings", "thicknesses", "kinds", "labels", "units", "centerings")
_SAME_EDGE = 1e-6  # of a sample: what rounding leaves
_NOTE = "derivation"


class NrrdWriter(StoredWriter):
    """Write a result as one NRRD file with the source's header, pairs of key and value included.

    Kept: type, order and kinds of axes, space, units, measurement frame, encoding (text becomes
    gzip). Rewritten: sizes, space directions, space origin, spacings, thicknesses, axis mins and
    maxs. The pair ``derivation`` says that the image is derived, ``provenance`` how. Of a
    de-identified result all other texts and pairs are left out.
    """

    def write(self, filename: PathLike, verbose: bool = True, **kwargs: Any) -> None:
        """Write the file; it appears whole or not at all.

        Args:
            filename: ends in .nrrd.
            verbose: log the name.
            **kwargs: options of MONAI's other writers, not used.

        Raises:
            OutputError: the format cannot hold the result, or the file cannot be written.
        """
        super().write(filename, verbose=verbose)
        if Path(filename).suffix.lower() != ".nrrd":
            raise OutputError(
                f"{filename}: must end in .nrrd, got '{Path(filename).suffix}'; choose such a name."
            )
        header = read_header(source_path(self._meta, Nrrd.name, filename))
        stored = _layout(as_stored(self._array, self._meta, filename), header)
        fields = _fields(header, stored.shape, self._meta, filename)
        pairs = _pairs(header, self._meta)
        with atomic_file(filename) as temporary:
            _save(temporary, stored, fields, pairs)
            check_unchanged(Facts(self._meta).input)


def write_map(
    result: Path, target: Path, half_width: npt.NDArray[np.float32], meta: Mapping[str, Any]
) -> None:
    """Write a map of uncertainty, see :mod:`monai_sr.formats.naming`."""
    header = read_header(result)
    fields = {name: value for name, value in header.fields.items() if name not in _OF_SOURCE}
    fields["content"] = map_meaning(meta)
    pairs = {key: header.pairs[key] for key in (_NOTE, "provenance") if key in header.pairs}
    with atomic_file(target) as temporary:
        _save(temporary, _layout(half_width, header).astype(np.float32), fields, pairs)


def _layout(channels: npt.NDArray[Any], header: NrrdHeader) -> npt.NDArray[Any]:
    return stored_layout(channels, header.space_axes, header.other_axes[::-1], header.sizes)


def _fields(
    header: NrrdHeader, sizes: tuple[int, ...], meta: Mapping[str, Any], filename: PathLike
) -> dict[str, Any]:
    """Return the header of a result; what belongs to a grid is that of the new one."""
    matrix, scale = grid_change(header.affine, np.asarray(meta["affine"]))
    check_moved(filename, scale, sizes, header.sizes)
    fields = {name: value for name, value in header.fields.items() if name not in _OF_SOURCE}
    if is_deidentified(meta):
        fields = {name: value for name, value in fields.items() if _is_known(name, value)}
    if is_turned(matrix, len(header.space_axes)):
        _turn(fields, header, meta, filename)
    _move_ends(fields, header, sizes, matrix)
    grown = dict(zip(header.space_axes, scale, strict=False))
    for name in ("spacings", "thicknesses"):
        if name in fields:
            old = np.asarray(fields[name], dtype=np.float64)
            fields[name] = old / [grown.get(axis, 1.0) for axis in range(old.size)]
    if "space directions" in fields and header.has_matrix:
        matrix = header.from_ras @ np.asarray(meta["affine"], dtype=np.float64) + 0.0  # no -0
        rank = next(len(row) for row in header.directions if row is not None)
        rows = [np.full(rank, np.nan) if r is None else r for r in fields["space directions"]]
        for column, axis in enumerate(header.space_axes):
            rows[axis] = np.zeros(rank)
            rows[axis][:3] = matrix[:3, column][:rank]
        origin = np.zeros(rank)
        origin[3:] = fields.get("space origin", origin)[3:]
        origin[:3] = matrix[:3, 3][:rank]
        fields |= {"space directions": np.array(rows), "space origin": origin}
    return fields


def _turn(
    fields: dict[str, Any], header: NrrdHeader, meta: Mapping[str, Any], filename: PathLike
) -> None:
    """Give what is said of each axis to the axis that runs along it now, in place.

    Ends of axes go: they are places along the axis as it was.
    """
    if "space directions" not in fields or not header.has_matrix:
        raise OutputError(
            f"{filename}: its grid must run as that of its source, which has no space directions, "
            "got a turned or mirrored one; leave out the transform that turns it."
        )
    places = axis_places(header.affine, np.asarray(meta["affine"]))
    for name in ("axis mins", "axis maxs"):
        fields.pop(name, None)
    for name in _OF_AXES:
        old = list(fields.get(name, ()))
        if len(old) == len(header.sizes):
            moved = list(old)
            for axis, place in zip(header.space_axes, places, strict=False):
                moved[header.space_axes[place]] = old[axis]
            fields[name] = moved


def _is_known(name: str, value: Any) -> bool:
    """Tell whether a field can name no patient."""
    words = [value] if isinstance(value, str) else value
    return name in _NUMBERS or (
        name in _WORDS and all(_KNOWN.fullmatch(str(word)) for word in words)
    )


def _move_ends(
    fields: dict[str, Any],
    header: NrrdHeader,
    sizes: tuple[int, ...],
    matrix: npt.NDArray[np.float64],
) -> None:
    """Say where axes end now, in place: outer edges stay where nothing is cropped."""
    for side, name in enumerate(("axis mins", "axis maxs")):
        if name in fields:
            ends = list(map(float, fields[name]))
            for column, axis in enumerate(header.space_axes):
                ends[axis] += header.step(axis) * _moved_end(
                    header, axis, side, sizes[axis], matrix[column, column], matrix[column, 3]
                )
            fields[name] = ends


def _moved_end(
    header: NrrdHeader, axis: int, side: int, size: int, step: float, start: float
) -> float:
    """Return by how many old samples an end of an axis moves; 0 for an outer edge that stays.

    Args:
        header: of the source.
        axis: of the file.
        side: 0 for the first end, 1 for the last.
        size: new samples along it.
        step: between them, in old ones.
        start: the first new center, in old samples.
    """
    edges = (start - step / 2 + 0.5, start + (size - 0.5) * step - header.sizes[axis] + 0.5)
    moved = 0.0 if abs(edges[side]) < _SAME_EDGE else edges[side]
    return moved if header.is_cell(axis) else moved + (step - 1) / 2 * (1, -1)[side]


def _pairs(header: NrrdHeader, meta: Mapping[str, Any]) -> dict[str, str]:
    kept = {} if is_deidentified(meta) else dict(header.pairs)
    kept = {key: value for key, value in kept.items() if not _IN_SAMPLES.fullmatch(key)}
    kept[_NOTE] = f"{disclaimer(provenance_of(meta))}; {software(meta)}"
    if Facts(meta).provenance:
        # A backslash begins an escape, as of a line's end.
        kept["provenance"] = Facts(meta).provenance.replace("\\", "\\\\").replace("\n", "\\n")
    return kept


def _save(
    path: Path, stored: npt.NDArray[Any], fields: Mapping[str, Any], pairs: Mapping[str, str]
) -> None:
    """Write without what pynrrd says of itself and of the time: equal results are equal files."""
    fields = {
        name: _plain(value) if isinstance(value, str) else value for name, value in fields.items()
    }
    encoding = str(fields["encoding"]).lower()
    fields["encoding"] = encoding if encoding in ("raw", *BZIPS) else "gzip"
    level = 9 if encoding in BZIPS else _LEVEL
    whole = io.BytesIO()
    with ignored_warnings(DeprecationWarning):  # it asks for the time in an old way
        nrrd.write(whole, stored, fields, compression_level=level)
    whole.seek(0)
    with path.open("wb") as stream:
        while (line := whole.readline()) != b"\n":
            stream.write(b"" if line.startswith(b"#") else line)
        for key, value in pairs.items():
            stream.write(f"{key}:={value}\n".encode("utf-8", "surrogateescape"))
        stream.write(b"\n")
        stream.write(whole.getbuffer()[whole.tell() :])


def _plain(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")
