"""Reads the header of NRRD: what the samples are, where they lie in space, and where in files.

NRRD 5, https://teem.sourceforge.net/nrrd/format.html (fields kinds, space, space directions, space
origin, data file, line skip, byte skip). pynrrd takes the fields apart.
"""

import io
import math
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import nrrd
import numpy as np
import numpy.typing as npt

from monai_sr.core import BadImageError, get_logger, reading

logger = get_logger(__name__)

MAGIC = b"NRRD000"

TEXTS = ("ascii", "text", "txt")
GZIPS, BZIPS = ("gzip", "gz"), ("bzip2", "bz2")
_ENCODINGS = ("raw", *TEXTS, *GZIPS, *BZIPS)
_LONGEST_LINE, _MOST_LINES = 2**24, 2**16  # those of segmentations hold a table of colors
_PAIR = re.compile(r"([^:]*):=(.*)", re.DOTALL)
_LIST = re.compile(r"data ?file:\s*LIST\b")
_PATTERN = re.compile(r"(\S.*%\d*d.*?)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?")
# Fields that the standard spells in two ways -> the one that pynrrd writes.
_SPELLED = {
    "axismins": "axis mins", "axismaxs": "axis maxs", "oldmin": "old min", "oldmax": "old max",
    "centers": "centerings", "lineskip": "line skip", "byteskip": "byte skip",
    "datafile": "data file",
}  # fmt: skip
# To right, anterior, superior, where all directions of this package point.
_TO_RAS = {
    "right-anterior-superior": (1.0, 1.0), "ras": (1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0), "las": (-1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0), "lps": (-1.0, -1.0),
}  # fmt: skip
_UNIT_MM = {
    "m": 1000.0, "meter": 1000.0, "cm": 10.0, "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0,
    "um": 1e-3, "µm": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "nm": 1e-6,
}  # fmt: skip
_IN_SPACE = ("domain", "space", "none", "???")
_COLORS = ("rgb-color", "3-color")
_PER_SAMPLE = ("time", "list", "point", "vector", "covariant-vector", "normal", "stub", "scalar")
_VECTORS = ("2-vector", "3-vector", "4-vector", "3-gradient", "3-normal")
_SEGMENT = re.compile(r"Segment(?:ation_|\d+_ID)")


@dataclass(frozen=True)
class NrrdHeader:
    """What the header of a file says.

    Attributes:
        path: the file.
        fields: as pynrrd gives them, each under one spelling.
        pairs: key -> value of the lines ``key:=value``, as they stand.
        offset: bytes before the samples, where they are in the same file.
        data_files: where they are, else; in their order.
        dtype: of the samples.
    """

    path: Path
    fields: dict[str, Any]
    pairs: dict[str, str]
    offset: int
    data_files: tuple[Path, ...]
    dtype: np.dtype[Any]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples along each axis, the fastest first."""
        return tuple(int(n) for n in self.fields["sizes"])

    @property
    def encoding(self) -> str:
        """How the samples are stored, in lower case."""
        return str(self.fields["encoding"]).lower()

    @property
    def is_segmentation(self) -> bool:
        """Whether 3D Slicer says that the values are numbers of segments."""
        return any(map(_SEGMENT.match, self.pairs))

    @cached_property
    def kinds(self) -> list[str]:
        """The kind of each axis in lower case, "???" where none is declared."""
        kinds = [str(kind).lower() for kind in self.fields.get("kinds", ())]
        return kinds or ["???"] * len(self.sizes)

    @cached_property
    def directions(self) -> list[npt.NDArray[np.float64] | None]:
        """The step in space along each axis, None of those that do not lie in it.

        A fourth dimension of space is time: an axis along it alone does not lie in space.
        """
        found = self.fields.get("space directions")
        rows: list[npt.NDArray[np.float64] | None] = [None] * len(self.sizes)
        for axis, row in enumerate(() if found is None else found):
            if row is not None and not np.isnan(row).all() and np.any(row[:3]):
                rows[axis] = np.asarray(row, dtype=np.float64)
        return rows

    @cached_property
    def space_axes(self) -> tuple[int, ...]:
        """The axes that lie in space, the fastest first."""
        if any(row is not None for row in self.directions):
            return tuple(a for a, row in enumerate(self.directions) if row is not None)
        return tuple(a for a, kind in enumerate(self.kinds) if kind in _IN_SPACE)

    @cached_property
    def is_rgb(self) -> bool:
        """Whether samples are red, green and blue."""
        return any(self.kinds[a] in _COLORS for a in self.other_axes)

    @cached_property
    def other_axes(self) -> tuple[int, ...]:
        """The axes that do not."""
        return tuple(a for a in range(len(self.sizes)) if a not in self.space_axes)

    @cached_property
    def matrix(self) -> npt.NDArray[np.float64]:
        """(4, 4), indices along the axes in space -> the file's own space, at centers."""
        matrix = np.eye(4)
        rows = [self.directions[a] for a in self.space_axes]
        for column, row in enumerate(rows):
            if row is not None:
                matrix[:3, column] = 0
                matrix[: len(row[:3]), column] = row[:3]
            else:
                matrix[column, column], matrix[column, 3] = self._along(self.space_axes[column])
        origin = self.fields.get("space origin")
        if rows[0] is not None and origin is not None and np.isfinite(origin).all():
            matrix[: len(origin[:3]), 3] = origin[:3]
        if len(rows) == 2 and rows[0] is not None and len(rows[0]) == 3:
            normal = np.cross(matrix[:3, 0], matrix[:3, 1])
            length = float(np.linalg.norm(normal))
            matrix[:3, 2] = normal / length if length else normal
        return matrix

    @cached_property
    def affine(self) -> npt.NDArray[np.float64]:
        """(4, 4), indices -> RAS+; the identity where the declared one cannot be inverted."""
        if not self.has_matrix:
            return np.eye(4)
        return self.from_ras @ self.matrix  # its own inverse

    @property
    def from_ras(self) -> npt.NDArray[np.float64]:
        """(4, 4), RAS+ -> the file's own space, and back."""
        return np.diag([*_TO_RAS.get(self._space, (1.0, 1.0)), 1.0, 1.0])

    @property
    def has_matrix(self) -> bool:
        """Whether the declared directions make a space."""
        return bool(np.isfinite(self.matrix).all() and np.linalg.det(self.matrix[:3, :3]) != 0)

    def unit_mm(self) -> float:
        """Return the millimeters of one unit of the affine, and log what had to be guessed.

        Returns:
            NaN where the file declares no lengths, or such that make no space.
        """
        is_placed = any(row is not None for row in self.directions)
        has_lengths = all(math.isfinite(self._declared_step(a)) for a in self.space_axes)
        if not self.has_matrix:
            logger.warning(
                "%s: its space directions make no space; samples of 1 unit are assumed, correct "
                "them", self.path,
            )  # fmt: skip
            return math.nan
        if not is_placed and not has_lengths:
            return math.nan
        if is_placed and self._space not in _TO_RAS and len(self.space_axes) == 3:
            logger.warning(
                "%s: space %r names no sides of a body; orientation is a guess, set it to "
                "left-posterior-superior, say", self.path, self._space,
            )  # fmt: skip
        units = [str(unit).lower() for unit in self.fields.get("space units", ())]
        if not units and not is_placed:
            units = [str(u).lower() for u in self.fields.get("units", ())]
            units = [units[a] for a in self.space_axes] if units else []
        if set(units) <= {""}:
            if self._space not in _TO_RAS:  # of a body lengths are in mm
                logger.warning(
                    "%s: declares no unit of length, mm are assumed; set space units", self.path
                )
            return 1.0
        if len(set(units)) > 1 or units[0] not in _UNIT_MM:
            logger.warning(
                "%s: units of length are %s, which are not known or not one; correct space units",
                self.path, " ".join(units),
            )  # fmt: skip
            return math.nan
        return _UNIT_MM[units[0]]

    @property
    def _space(self) -> str:
        space = str(self.fields.get("space", "")).lower().removesuffix("-time")
        return space[:3] if space in ("rast", "last", "lpst") else space

    def _along(self, axis: int) -> tuple[float, float]:
        """Return the spacing along an axis without direction, and where its first center is."""
        step, start = self.step(axis), self._number("axis mins", axis)
        if not math.isfinite(start):
            return step, 0.0
        return step, start + step / 2 if self.is_cell(axis) else start

    def step(self, axis: int) -> float:
        """Return the spacing along an axis without direction, 1 where none is declared."""
        declared = self._declared_step(axis)
        return declared if math.isfinite(declared) else 1.0

    def _declared_step(self, axis: int) -> float:
        """Return the spacing, or what the ends of an axis say of it; NaN for none."""
        spacing = self._number("spacings", axis)
        if math.isfinite(spacing) and spacing:
            return spacing
        length = self._number("axis maxs", axis) - self._number("axis mins", axis)
        count = self.sizes[axis] - (0 if self.is_cell(axis) else 1)
        return length / count if math.isfinite(length) and length and count else math.nan

    def _number(self, field: str, axis: int) -> float:
        found = self.fields.get(field)
        return math.nan if found is None else float(found[axis])

    def is_cell(self, axis: int) -> bool:
        """Tell whether the ends of an axis are outer edges of samples, not centers."""
        centers = self.fields.get("centerings")
        return centers is not None and str(centers[axis]).lower() == "cell"


def read_header(path: Path) -> NrrdHeader:
    """Read the header of a file, not its samples.

    Raises:
        BadImageError: it is damaged, or describes what cannot be enlarged.
    """
    with reading(path) as stream:
        lines, offset, has_list = _lines(path, stream)
    names = lines[1:] if not has_list else lines[1 : 1 + has_list]
    pairs = {m[1].strip(): m[2] for line in names if (m := _PAIR.fullmatch(line)) is not None}
    plain = [line for line in names if _PAIR.fullmatch(line) is None]
    try:
        found = dict(nrrd.read_header([lines[0], *plain]))
    except (nrrd.NRRDError, ValueError, StopIteration, TypeError) as error:
        raise BadImageError(
            f"{path}: must have a header of NRRD, got a damaged one; {_AGAIN}."
        ) from error
    fields = {_SPELLED.get(name.lower(), name.lower()): value for name, value in found.items()}
    if isinstance(fields.get("centerings"), str):  # spelled centers
        fields["centerings"] = fields["centerings"].split()
    for name in ("type", "dimension", "sizes", "encoding"):
        if name not in fields:
            raise BadImageError(f"{path}: its header must state {name}, got none; {_AGAIN}.")
    data_files = _data_files(path, fields, lines[1 + has_list :] if has_list else [])
    header = NrrdHeader(path, fields, pairs, offset, data_files, _dtype(path, fields))
    _check(header)
    return header


_AGAIN = "export it again"


def _lines(path: Path, stream: Any) -> tuple[list[str], int, int]:
    """Return the lines of a header, its length, and how many are before a list of files."""
    lines: list[str] = []
    offset, before = 0, 0
    while len(lines) < _MOST_LINES:
        line = stream.readline(_LONGEST_LINE)
        offset += len(line)
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        if not line or (not text and not before):
            break
        if text and not text.startswith("#"):
            lines.append(text)
        if _LIST.match(text):
            before = len(lines) - 1
    if not lines or not lines[0].encode("utf-8", "surrogateescape").startswith(MAGIC):
        raise BadImageError(f"{path}: must begin with NRRD000, got another file; {_AGAIN}.")
    return lines, offset, before


def _data_files(path: Path, fields: dict[str, Any], listed: list[str]) -> tuple[Path, ...]:
    """Return the files that hold the samples of a detached header, none of an attached one."""
    named = fields.get("data file")
    if named is None:
        return ()
    pattern = _PATTERN.fullmatch(named)
    if listed:
        names = listed
    elif pattern is not None:
        first, last, step = (int(pattern[i]) for i in (2, 3, 4))
        numbers = range(first, last + (1 if step > 0 else -1), step) if step else ()
        if len(numbers) > _MOST_LINES:
            raise BadImageError(
                f"{path}: must name fewer data files, got {len(numbers)}; {_AGAIN}."
            )
        names = [pattern[1] % number for number in numbers]
    else:
        names = [shlex.split(named)[0] if named.startswith('"') else named]
    for name in names:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or ":" in name or "\\" in name:
            raise BadImageError(
                f"{path}: its data files must lie in its folder, got one that does not; copy all "
                "into one folder and correct 'data file'."
            )
    # Where the header is a link, they may lie beside the file that it stands for.
    folders = (path.parent, path.resolve().parent)
    return tuple(
        next((folder / name for folder in folders if (folder / name).exists()), path.parent / name)
        for name in names
    )


def _dtype(path: Path, fields: dict[str, Any]) -> np.dtype[Any]:
    """Return the type of the samples as pynrrd reads one of them."""
    one = {"type": fields["type"], "dimension": 1, "sizes": np.ones(1, int), "encoding": "raw"}
    is_text = str(fields["encoding"]).lower() in TEXTS
    endian = "little" if is_text else str(fields.get("endian", "")).lower()
    try:
        found = nrrd.read_data(one | ({"endian": endian} if endian else {}), io.BytesIO(bytes(8)))
    except (nrrd.NRRDError, KeyError, ValueError) as error:
        raise BadImageError(
            f"{path}: samples must be integers or floats of stated endian, got type "
            f"{fields['type']!r}, endian {endian!r}; convert it, or correct its header."
        ) from error
    dtype: np.dtype[Any] = found.dtype
    return dtype


def _check(header: NrrdHeader) -> None:
    path, sizes = header.path, header.sizes
    per_axis = ("kinds", "space directions", "spacings", "axis mins", "axis maxs", "centerings")
    uneven = [n for n in per_axis if n in header.fields and len(header.fields[n]) != len(sizes)]
    if len(sizes) != header.fields["dimension"] or uneven:
        raise BadImageError(
            f"{path}: {uneven[0] if uneven else 'sizes'} must have an entry for each of its "
            f"{header.fields['dimension']} axes, got another number; correct its header."
        )
    if header.encoding not in _ENCODINGS:
        raise BadImageError(
            f"{path}: encoding must be raw, gzip, bzip2 or text, got {header.encoding!r}; "
            "convert it (unu save -e gzip)."
        )
    if len(header.space_axes) not in (2, 3):
        raise BadImageError(
            f"{path}: must have 2 or 3 axes in space, got {len(header.space_axes)} of sizes "
            f"{' x '.join(map(str, sizes))}; declare the others by kinds (list, time, vector)."
        )
    for row in header.directions:
        if row is not None and (len(row) not in (2, 3, 4) or any(row[3:])):
            raise BadImageError(
                f"{path}: must lie in a space of 2 or 3 dimensions, and time, got directions of "
                f"{len(row)}; correct its header."
            )
    others = [header.kinds[a] for a in header.other_axes if sizes[a] > 1]
    wrong = [k for k in others if k not in (*_COLORS, *_PER_SAMPLE, *_VECTORS, *_IN_SPACE)]
    if wrong or (header.is_rgb and len(others) > 1):
        raise BadImageError(
            f"{path}: samples must be gray, RGB, vectors, lists or times, got "
            f"{' and '.join(wrong or others)}; extract an image from it (unu slice)."
        )
