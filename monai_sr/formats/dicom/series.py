"""Groups the DICOM files of a folder into volumes: one position, one slice.

Files of one study, series and frame of reference with one orientation, size, spacing and type of
pixels belong together (DICOM PS3.3 C.7.6.2). Where they repeat positions, or their values have
several meanings, they are several volumes. Equal copies of one object count once.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.uid import MediaStorageDirectoryStorage

from monai_sr.core import BadImageError, get_logger, once, sha256
from monai_sr.formats.dicom.files import (
    DAMAGE_ERRORS,
    is_dicom,
    open_dicom,
    quiet_pydicom,
    read_elements,
)
from monai_sr.formats.dicom.meaning import dicom_meaning
from monai_sr.formats.dicom.pixels import decode
from monai_sr.formats.dicom.repeats import TAGS, Slice, part_slices
from monai_sr.formats.meaning import GRAY
from monai_sr.geometry import (
    SAME_POSITION_MM,
    SPACING_KEYWORDS,
    is_same_direction,
    is_same_spacing,
    pixel_spacing,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydicom.dataset import FileDataset

    from monai_sr.core import PathLike

logger = get_logger(__name__)

# Each exposure is an image of its own, even where a vendor adds positions.
_PROJECTIONS = frozenset({"CR", "DX", "IO", "MG", "PX", "RF", "RG", "RTIMAGE", "XA"})
# A series is of one patient, study and frame of reference (PS3.3 A.1.2.5): where a copied UID says
# else, the images of two patients would be one. Colors, palettes and gray values, or other types,
# are no one array.
_SHARED = (
    "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns",
    "PhotometricInterpretation", "BitsAllocated", "PixelRepresentation", "PatientID",
)  # fmt: skip
_LEAST_STACK = 3  # any two lie evenly
_LEAST_SHARE = 0.95  # of an even stack; parts that lack more slices may be of two regions
_OFF = 0.25  # of the distance: a slice that lacks or repeats a position moves others by half of it
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", *_SHARED, "NumberOfFrames",
    "SamplesPerPixel", "SegmentationType", "ImagePositionPatient", "ImageOrientationPatient",
    *SPACING_KEYWORDS,
    0x00430010,  # who the private elements of GE are of
    *TAGS,
]  # fmt: skip


@dataclass(frozen=True)
class Volume:
    """Hold the files of one image.

    Args:
        paths: the files, ordered by name.
        label: what tells it from other volumes of its series ("echo1_time02"), "" if it is alone.
        copies: files that were left out, for they are copies of others here.
        uids: SOP instance of each of ``paths``, "" where it is not known.
    """

    paths: tuple[Path, ...]
    label: str = ""
    copies: tuple[Path, ...] = ()
    uids: tuple[str, ...] = ()


def find_series(folder: PathLike, recursive: bool = False) -> list[list[Path]]:
    """Group the DICOM files of a folder into images, see :func:`find_volumes`.

    Returns:
        Lists of paths, each one image, ordered by name.
    """
    return [list(volume.paths) for volume in find_volumes(folder, recursive)]


def find_volumes(folder: PathLike, recursive: bool = False) -> list[Volume]:
    """Group the DICOM files of a folder into images; other files and DICOMDIR are passed over.

    Files of one series with the same orientation, size, spacing, type and meaning of values, and a
    position each, form one volume; where positions repeat, several. Every other file (projections,
    ultrasound, secondary captures, multi-frame objects, damaged files and objects without pixels)
    stands alone, so that reading it gives an image or a clear error.

    Args:
        folder: where to look.
        recursive: look into folders inside it, too.

    Returns:
        The images, ordered by name. Names that start with a dot are skipped.

    Raises:
        BadImageError: the folder does not exist or cannot be listed.
    """
    root = Path(folder)
    try:
        found = root.rglob("*") if recursive else root.iterdir()
        files = sorted(p for p in found if not p.name.startswith(".") and p.is_file())
    except OSError as error:
        reason = error.strerror or "an input/output error"
        raise BadImageError(
            f"{folder}: must be a folder that can be listed, got '{reason}'; check the path."
        ) from error
    volumes: list[Volume] = []
    groups: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
    for file in files:
        if not is_dicom(file):
            continue
        read = _read(file)
        if isinstance(read, Slice):
            groups[read.series].append(read)
        elif read is not None:
            volumes.append(Volume((file,), uids=(read,)))
    for slices in _with_unsaid(groups):
        for alike in _by_grid(slices):
            volumes += _volumes(alike)
    return merge_copies(volumes)


def check_one_person(name: PathLike, headers: Sequence[FileDataset]) -> None:
    """Refuse files of several patients that were named as one series; warn of several series.

    Args:
        name: what messages call them.
        headers: of the files.

    Raises:
        BadImageError: they state several values of Patient ID.
    """
    people, series = ({_said(h, w) for h in headers} for w in ("PatientID", "SeriesInstanceUID"))
    if len(people - {""}) > 1:
        raise BadImageError(
            f"{name}: files of a series must be of one patient, got {len(people - {''})}; give "
            "those of each separately."
        )
    if len(series - {""}) > 1:
        logger.warning("%s: files of %d series are taken as one.", name, len(series))


def merge_copies(volumes: Iterable[Volume]) -> list[Volume]:
    """Keep one of the images that are the same objects with the same pixels, wherever they lie.

    Returns:
        The others, ordered by name; those that were left out are among their ``copies``.
    """
    kept: dict[tuple[Any, ...], Volume] = {}
    given = sorted(volumes, key=lambda v: (_age_of_name(v.paths[0]), v.paths))
    counts = Counter(tuple(sorted(v.uids)) for v in given if v.uids and all(v.uids))
    for one in given:
        key: tuple[Any, ...] = one.paths
        if counts[tuple(sorted(one.uids))] > 1:
            files = zip(one.uids, one.paths, strict=True)
            key = tuple((uid, _pixels(file)) for uid, file in sorted(files))
        if key in kept:
            kept[key] = replace(kept[key], copies=(*kept[key].copies, *one.paths, *one.copies))
        else:
            kept[key] = one
    return sorted(kept.values(), key=lambda v: v.paths)


def join_folders(volumes: Iterable[Volume]) -> list[Volume]:
    """Join the parts of a series that lie in several folders, as media of few files in each have.

    Only where all their slices together lie evenly, of which there are three or more and one in
    twenty may be missing, and no volume of the series has more of them than another: else a UID
    that many series share would make one volume of them, and folders that end between time points
    volumes that lack slices.

    Returns:
        The volumes, ordered by name.
    """
    found: list[Volume] = []
    parts: dict[Path, Volume] = {}
    series: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
    for volume in volumes:
        first = _read(volume.paths[0])
        if isinstance(first, Slice):
            parts[first.file] = volume
            series[first.series].append(first)
        else:
            found.append(volume)
    for firsts in series.values():
        for alike in _by_grid(firsts):
            kinds: dict[tuple[str, str], list[Volume]] = defaultdict(list)
            for first in alike:
                part = parts[first.file]
                kinds[first.kind, part.label].append(part)
            joined = [volume for each in kinds.values() for volume in _joined(each)]
            are_whole = len({len(volume.paths) for volume in joined}) == 1
            found += joined if are_whole else [parts[first.file] for first in alike]
    return sorted(found, key=lambda v: v.paths)


def _joined(parts: list[Volume]) -> list[Volume]:
    """Make one volume of parts that lie in a folder each and are an even stack together."""
    folders = {part.paths[0].parent for part in parts}
    files = sorted((f, u) for part in parts for f, u in zip(part.paths, part.uids, strict=True))
    if not 1 < len(folders) == len(parts) or not _are_even([file for file, _ in files]):
        return parts
    copies = tuple(file for part in parts for file in part.copies)
    paths, uids = zip(*files, strict=True)
    return [Volume(paths, parts[0].label, copies, uids)]


def _are_even(files: Sequence[Path]) -> bool:
    """Tell whether parallel slices lie evenly on a line, straight or under a gantry tilt.

    Single ones of many may be missing, as where a file of a medium cannot be read.
    """
    slices = [one for one in map(_read, files) if isinstance(one, Slice)]
    if len(slices) < max(len(files), _LEAST_STACK):
        return False
    normal = np.cross(slices[0].cosines[:3], slices[0].cosines[3:])
    places = np.array(sorted((one.position for one in slices), key=lambda p: float(p @ normal)))
    gaps = np.diff(places @ normal)
    if np.median(gaps) <= SAME_POSITION_MM:
        return False
    numbers = np.append(0, np.cumsum(np.rint(gaps / np.median(gaps))))
    if len(places) < _LEAST_SHARE * (numbers[-1] + 1):
        return False
    even = places[0] + np.outer(numbers / numbers[-1], places[-1] - places[0])
    distance = gaps.sum() / numbers[-1]
    is_on_line = np.abs(places - even).max() < _OFF * distance
    return bool(is_on_line and np.diff(numbers).min() > 0)


@once
def read_header(path: PathLike) -> FileDataset:
    """Read the elements that group a file and tell what it is of; what they decode to may be bad.

    Raises:
        OSError: it cannot be read.
        BadImageError: it inflates to more than memory.
        Exception: of ``DAMAGE_ERRORS``.
    """
    with quiet_pydicom():
        return read_elements(path, stop_before_pixels=True, specific_tags=_TAGS)


def _age_of_name(file: Path) -> int:
    return len(file.name)  # the shortest is the original one: "IM2.dcm" of "IM2 (1).dcm"


def _read(file: Path) -> Slice | str | None:
    """Read what groups a file; the UID of one that stands alone, None for one that is no image."""
    try:
        with quiet_pydicom():
            header = read_header(file)
            media = header.file_meta.get("MediaStorageSOPClassUID")
            if media == MediaStorageDirectoryStorage:
                return None
            uid = str(header.get("SOPInstanceUID") or "")
            place, cosines = (
                header.get("ImagePositionPatient"),
                header.get("ImageOrientationPatient"),
            )
            is_slice = (
                header.get("SeriesInstanceUID")
                and np.size(place) == 3
                and np.size(cosines) == 6
                and "Rows" in header
                and header.get("Modality") not in _PROJECTIONS
                and int(header.get("NumberOfFrames") or 1) == 1
            )
            if not is_slice:
                return uid
            int(header.Rows), int(header.Columns)
            meaning = dicom_meaning(header)
            return Slice(
                file=file,
                uid=uid,
                series=tuple(_said(header, word) for word in _SHARED),
                cosines=np.array([float(v) for v in cosines]),
                position=np.array([float(v) for v in place]),
                spacing_mm=pixel_spacing(header),
                kind=GRAY if meaning is None else meaning.kind,
                header=header,
            )
    except (OSError, *DAMAGE_ERRORS) as error:
        logger.debug("%s: header not readable (%s)", file, type(error).__name__)
        return ""


def _said(header: FileDataset, word: str) -> str:
    value = header.get(word)
    text = "" if value is None else str(value)
    return "RGB" if text.startswith("YBR") else text  # what it is decoded to


def _with_unsaid(groups: dict[tuple[str, ...], list[Slice]]) -> list[list[Slice]]:
    """Add slices whose headers lack an entry to the one group that they may belong to."""
    for key in [key for key in groups if "" in key]:
        like = [
            other
            for other in groups
            if other != key and all(a in ("", b) for a, b in zip(key, other, strict=True))
        ]
        if len(like) == 1:
            groups[like[0]] += groups.pop(key)
    return _with_frames_of_their_own(groups)


def _with_frames_of_their_own(groups: Mapping[tuple[str, ...], list[Slice]]) -> list[list[Slice]]:
    """Join slices of a series of which each has another frame of reference: none is meant.

    Anonymizers that draw a new UID for each file leave such series.
    """
    frame = _SHARED.index("FrameOfReferenceUID")
    alike: dict[tuple[str, ...], list[list[Slice]]] = defaultdict(list)
    for key, slices in groups.items():
        alike[key[:frame] + key[frame + 1 :]].append(slices)
    found: list[list[Slice]] = []
    for parts in alike.values():
        is_drawn = len(parts) > 2 and all(len(part) == 1 for part in parts)
        found += [[one for part in parts for one in part]] if is_drawn else parts
    return found


def _by_grid(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Part the slices of a series by orientation, of which localizers hold three, and spacing."""
    groups: list[list[Slice]] = []
    for one in sorted(slices, key=lambda s: s.spacing_mm is None):
        for group in groups:
            if is_same_direction(group[0].cosines, one.cosines) and is_same_spacing(
                group[0].spacing_mm, one.spacing_mm
            ):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _volumes(slices: Sequence[Slice]) -> list[Volume]:
    """Leave copies out and part what repeats positions."""
    kept, copies = _without_copies(slices)
    with quiet_pydicom():
        parts = part_slices(kept)
    return [
        Volume(
            tuple(one.file for one in part),
            label,
            tuple(copies) if i == 0 else (),
            tuple(one.uid for one in part),
        )
        for i, (label, part) in enumerate(parts)
    ]


def _without_copies(slices: Sequence[Slice]) -> tuple[list[Slice], list[Path]]:
    """Keep one file for each object; files with other pixels are no copies, whatever the UID."""
    kept: dict[tuple[Any, ...], Slice] = {}
    copies: list[Path] = []
    shared = {uid for uid, n in Counter(s.uid for s in slices).items() if n > 1 and uid}
    for one in sorted(slices, key=lambda s: (_age_of_name(s.file), s.file)):
        key: tuple[Any, ...] = (one.file,)
        if one.uid in shared:
            key = (one.uid, *one.position.round(3).tolist(), _pixels(one.file))
        if key in kept:
            copies.append(one.file)
        else:
            kept[key] = one
    return sorted(kept.values(), key=lambda s: s.file), sorted(copies)


def _pixels(file: Path) -> str:
    """Return a hash of the pixels of a file, whatever their encoding: archives compress anew."""
    try:
        frames = decode(open_dicom(file), file, keeps_palette=True).frames
    except (OSError, BadImageError, *DAMAGE_ERRORS):
        return os.fspath(file)
    return f"{frames.shape} {sha256(frames.tobytes())}"
