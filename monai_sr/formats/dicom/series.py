"""Groups the DICOM files of a folder into volumes: one position, one slice.

Files of one series with one orientation and size belong together (DICOM PS3.3 C.7.6.2). Where they
repeat positions, they are several volumes: echoes, time points, weightings of diffusion, kinds of
image. Equal copies of one object count once.
"""

from __future__ import annotations

import os
import re
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
from monai_sr.formats.dicom.pixels import decode
from monai_sr.geometry import SAME_POSITION_MM, is_same_direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydicom.dataset import FileDataset

    from monai_sr.core import PathLike
    from monai_sr.geometry import FloatArray

logger = get_logger(__name__)

# Each exposure is an image of its own, even where a vendor adds positions.
_PROJECTIONS = frozenset({"CR", "DX", "IO", "MG", "PX", "RF", "RG", "RTIMAGE", "XA"})
_GRADIENT_DIGITS = 3
# A volume that was interrupted lacks slices; times of single slices make no volumes.
_LEAST_SHARE = 0.5

# What tells volumes of one series apart: a word for names, and attributes of which the first one
# that is there counts. With private ones of Siemens, GE and Philips for diffusion.
_KINDS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("", ("ImageType",)),
    ("echo", ("EchoNumbers", "EchoTime")),
    ("echo", ("EchoTime",)),
    ("inversion", ("InversionTime",)),
    ("flip", ("FlipAngle",)),
    ("b", ("DiffusionBValue", 0x0019100C, 0x20011003, 0x00431039)),
    ("direction", ("DiffusionGradientOrientation", 0x0019100E)),
    ("time", ("TemporalPositionIdentifier",)),
    ("time", ("FrameReferenceTime",)),
    ("phase", ("NominalPercentageOfCardiacPhase",)),
    ("time", ("TriggerTime",)),
    ("kernel", ("ConvolutionKernel",)),
    ("kvp", ("KVP",)),
    ("acquisition", ("AcquisitionNumber",)),
    ("time", ("AcquisitionDateTime",)),
    ("time", ("AcquisitionTime",)),
    ("time", ("ContentTime",)),
)
_ORDER = (
    "TemporalPositionIdentifier", "TriggerTime", "AcquisitionDateTime", "AcquisitionTime",
    "ContentTime", "InstanceNumber",
)  # fmt: skip
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "NumberOfFrames", "Rows",
    "Columns", "SamplesPerPixel", "ImagePositionPatient", "ImageOrientationPatient",
    "InstanceNumber",
    *dict.fromkeys([*_ORDER, *(tag for _, tags in _KINDS for tag in tags)]),
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


@dataclass(frozen=True)
class _Slice:
    file: Path
    uid: str
    cosines: FloatArray
    position: FloatArray
    header: FileDataset


def find_series(folder: PathLike, recursive: bool = False) -> list[list[Path]]:
    """Group the DICOM files of a folder into images, see :func:`find_volumes`.

    Returns:
        Lists of paths, each one image, ordered by name.
    """
    return [list(volume.paths) for volume in find_volumes(folder, recursive)]


def find_volumes(folder: PathLike, recursive: bool = False) -> list[Volume]:
    """Group the DICOM files of a folder into images; other files and DICOMDIR are passed over.

    Files of one series with the same orientation and size, and a position each, form one volume;
    where positions repeat, several. Every other file (projections, ultrasound, secondary captures,
    multi-frame objects, damaged files and objects without pixels) stands alone, so that reading it
    gives an image or a clear error.

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
    groups: dict[tuple[str, int, int], list[_Slice]] = defaultdict(list)
    for file in files:
        if not is_dicom(file):
            continue
        read = _read(file)
        if isinstance(read, _Slice):
            header = read.header
            key = (str(header.SeriesInstanceUID), int(header.Rows), int(header.Columns))
            groups[key].append(read)
        elif read is not None:
            volumes.append(Volume((file,), uids=(read,)))
    for slices in groups.values():
        for parallel in _by_direction(slices):
            volumes += _volumes(parallel)
    return merge_copies(volumes)


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


def _read(file: Path) -> _Slice | str | None:
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
            return _Slice(
                file=file,
                uid=uid,
                cosines=np.array([float(v) for v in cosines]),
                position=np.array([float(v) for v in place]),
                header=header,
            )
    except (OSError, *DAMAGE_ERRORS) as error:
        logger.debug("%s: header not readable (%s)", file, type(error).__name__)
        return ""


def _by_direction(slices: Sequence[_Slice]) -> list[list[_Slice]]:
    """Part the slices of a series by orientation: localizers hold three."""
    groups: list[list[_Slice]] = []
    for one in slices:
        for group in groups:
            if is_same_direction(group[0].cosines, one.cosines):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _volumes(slices: Sequence[_Slice]) -> list[Volume]:
    """Leave copies out and part what repeats positions."""
    kept, copies = _without_copies(slices)
    places = _places(kept)
    with quiet_pydicom():
        parts = _split(kept, places, _KINDS)
    return [
        Volume(
            tuple(one.file for one in part),
            label,
            tuple(copies) if i == 0 else (),
            tuple(one.uid for one in part),
        )
        for i, (label, part) in enumerate(parts)
    ]


def _without_copies(slices: Sequence[_Slice]) -> tuple[list[_Slice], list[Path]]:
    """Keep one file for each object; files with other pixels are no copies, whatever the UID."""
    kept: dict[tuple[Any, ...], _Slice] = {}
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


def _places(slices: Sequence[_Slice]) -> dict[Path, int]:
    """Number the different positions along the normal."""
    normal = np.cross(slices[0].cosines[:3], slices[0].cosines[3:])
    heights = np.array([float(one.position @ normal) for one in slices])
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order]) > SAME_POSITION_MM
    numbers = np.concatenate([[0], np.cumsum(steps)])
    return {slices[i].file: int(n) for i, n in zip(order, numbers, strict=True)}


def _split(
    slices: list[_Slice], places: dict[Path, int], kinds: Sequence[tuple[str, tuple[Any, ...]]]
) -> list[tuple[str, list[_Slice]]]:
    """Part slices until no part repeats a position; one position alone is no volume to part."""
    positions = {places[one.file] for one in slices}
    repeats = _repeats(slices, places)
    if repeats == 1 or len(positions) == 1:
        return [("", slices)]
    for i, (word, tags) in enumerate(kinds):
        groups = _by_value(slices, tags)
        shares = sorted(len({places[o.file] for o in g}) for g in groups.values())
        is_part = (
            len(groups) > 1
            and shares[len(shares) // 2] >= _LEAST_SHARE * len(positions)
            and max(_repeats(g, places) for g in groups.values()) < repeats
        )
        if is_part:
            names = _names(word, list(groups))
            return [
                ("_".join(filter(None, (name, rest))), part)
                for name, group in zip(names, groups.values(), strict=True)
                for rest, part in _split(group, places, kinds[i + 1 :])
            ]
    return _by_rank(slices, places)


def _repeats(slices: Iterable[_Slice], places: dict[Path, int]) -> int:
    return max(Counter(places[one.file] for one in slices).values())


def _by_value(slices: Sequence[_Slice], tags: tuple[Any, ...]) -> dict[Any, list[_Slice]]:
    """Group by the first of the attributes that any slice has, in ascending order."""
    for tag in tags:
        if any(tag in one.header for one in slices):
            groups: dict[Any, list[_Slice]] = defaultdict(list)
            for one in slices:
                groups[_value(one.header, tag)].append(one)
            return dict(sorted(groups.items()))
    return {}


def _value(header: FileDataset, tag: Any) -> tuple[Any, ...]:
    """Return an attribute as something that can be compared; () where it lacks."""
    if tag not in header or header[tag].is_empty:
        return ()
    value = header[tag].value
    if isinstance(value, bytes):  # private, in a file that does not say what it is
        value = value.decode("ascii", errors="replace").strip("\0 ")
    values = [value] if isinstance(value, str) or np.ndim(value) == 0 else list(value)
    if tag == 0x00431039:  # of four numbers of GE the first is b, with 10^9 added
        values = [float(values[0]) % 1e6]
    try:
        return (0, *(round(float(v), _GRADIENT_DIGITS) for v in values))
    except ValueError:
        return (1, *map(str, values))


def _names(word: str, values: Sequence[tuple[Any, ...]]) -> list[str]:
    """Name the parts: by b-value or kind of image itself, else by a number from 1."""
    if word == "b":
        names = [f"b{v[1]:g}" if v[:1] == (0,) else "b" for v in values]
    elif not word:
        common = set.intersection(*(set(v) for v in values))
        told = ["_".join(str(t) for t in v[1:] if t not in common) for v in values]
        names = [re.sub(r"[^a-z0-9_-]+", "", t.lower()) or "other" for t in told]
    else:
        names = []
    if len(set(names)) == len(values):
        return names
    digits = len(str(len(values)))
    return [f"{word or 'kind'}{i:0{digits}d}" for i in range(1, len(values) + 1)]


def _age(one: _Slice) -> tuple[Any, ...]:
    return *(_value(one.header, tag) for tag in _ORDER), one.file


def _by_rank(slices: Sequence[_Slice], places: dict[Path, int]) -> list[tuple[str, list[_Slice]]]:
    """Let the first slices of all positions be the first volume, and so on."""
    seen: Counter[int] = Counter()
    parts: dict[int, list[_Slice]] = defaultdict(list)
    for one in sorted(slices, key=_age):
        parts[seen[places[one.file]]].append(one)
        seen[places[one.file]] += 1
    digits = len(str(len(parts)))
    return [
        (f"part{i + 1:0{digits}d}", sorted(part, key=lambda s: s.file))
        for i, part in sorted(parts.items())
    ]
