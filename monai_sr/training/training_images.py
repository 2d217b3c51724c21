"""Which images a training run uses, and what for."""

import filecmp
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from monai_sr.core import BadImageError, OptionError, PathLike, get_logger, sha256
from monai_sr.formats import claims_image, find_series, format_of, image_folders
from monai_sr.training.split_table import SplitEntry, read_split_table
from monai_sr.training.training_rasters import Area, places

logger = get_logger(__name__)

T = TypeVar("T")
Source = Path | tuple[Path, ...] | Area
"""A file, the files of a DICOM series, or an area of a georeferenced file."""

_NO_IMAGES = (
    ".csv", ".json", ".md", ".txt", ".xml", ".yaml",
    ".ovr", ".msk", ".tfw", ".pgw", ".jgw", ".wld", ".prj",  # beside rasters; GDAL opens the first
)  # fmt: skip
_START_BYTES = 4096
OWN_PICTURE = "monai-sr picture"
"""Text in the PNG files that training and evaluation make to be looked at, not to be used."""
_SAMPLES = (".raw", ".gz", ".bz2")  # may belong to a header in another file


def list_images(folders: PathLike | Sequence[PathLike] | None) -> list[Source]:
    """List the images of folders and their subfolders, sorted; tables and texts are left out.

    The DICOM files of a series of parallel slices are one entry, the tuple of their paths. Pictures
    that an earlier training run or evaluation left there (results, references) are left out.

    Raises:
        OptionError: if none is given, one does not exist, or there is no image.
    """
    if not folders:
        raise OptionError("dataset_dir: no folder of training images given; add --dataset_dir DIR")
    found: list[Source] = []
    for folder in [folders] if isinstance(folders, str | Path) else list(folders):  # type: ignore[arg-type]
        root = Path(folder)
        if not root.is_dir():
            raise OptionError(f"{folder}: is no folder of images; check --dataset_dir")
        every = sorted(root.rglob("*"))
        images = image_folders([root, *every])
        files = [f for f in every if images.isdisjoint(f.parents) and _is_image(f)]
        own = {f for f in files if _is_own_picture(f)}
        if own:
            logger.warning("%s: %d pictures of earlier runs are left out", folder, len(own))
        files = [f for f in files if f not in own]
        found += _grouped(sorted({*files, *images}))
    if not found:
        raise OptionError(f"{folders}: holds no image; check --dataset_dir")
    return found


def _is_image(file: Path) -> bool:
    suffix = file.suffix.lower()
    if not file.is_file() or file.name.startswith("."):
        return False
    return suffix not in _NO_IMAGES and (suffix not in _SAMPLES or claims_image(file))


def _is_own_picture(file: Path) -> bool:
    if file.suffix.lower() != ".png":
        return False
    with file.open("rb") as stream:
        return b"tEXt" + OWN_PICTURE.encode() in stream.read(_START_BYTES)  # before the pixels


def _grouped(files: Sequence[Path]) -> list[Source]:
    """Put the files of each DICOM series together, at the place of its first file."""
    dicom = {f for f in files if format_of(f).has_series}
    series: dict[Path, tuple[Path, ...]] = {}
    for folder in sorted({f.parent for f in dicom}):
        for group in find_series(folder):
            if len(group) > 1:
                series |= dict.fromkeys(group, tuple(group))
    first = {group: min(group) for group in series.values()}
    return [series.get(f, f) for f in files if f not in series or f == first[series[f]]]


def first_file(source: Source) -> Path:
    """Return the file of an image, the first file of a series."""
    if isinstance(source, Area):
        return source.file
    return source[0] if isinstance(source, tuple) else source


def split_images(
    images: Sequence[Source], share: float, subjects: Mapping[Source, str] | None = None
) -> tuple[list[Source], list[Source]]:
    """Hold out a share of the images for validation, never parts of one subject in both.

    A subject is what ``subjects`` says; without it, the ground of a georeferenced raster (see
    :func:`monai_sr.training.training_rasters.places`), the Patient ID of DICOM, else what precedes
    the first "_" of a file's name (the patient of an NIH X-ray, the photo of a tile), or the folder
    of a series. The choice depends on that alone.

    Returns:
        Images to train on and images to validate on.

    Raises:
        OptionError: if ``share`` is not in [0, 1), or leaves one of the parts empty.
    """
    if not 0 <= share < 1:
        raise OptionError(f"validation_share: must be in [0, 1), got {share}")

    if subjects is None:
        grounds = places([image for image in images if isinstance(image, Path)])
        subjects = {i: Path(grounds[i]).name if i in grounds else _subject(i) for i in images}

    def position(image: Source) -> float:
        subject = subjects[image]
        return int(sha256(subject)[:16], 16) / 2**64

    train = [f for f in images if position(f) >= share]
    held = [f for f in images if position(f) < share]
    if not train or (share and not held):
        raise OptionError(
            f"validation_share: {share} of {len(images)} images of "
            f"{len(set(subjects.values()))} subjects leaves nothing to "
            f"{'validate' if train else 'train'} on; name a --validation_dir or a --split_table"
        )
    return train, held


def _subject(image: Source) -> str:
    file = first_file(image)
    if person := format_of(file).person(file):
        return person
    if isinstance(image, tuple):
        return image[0].parent.name
    return file.stem.split("_")[0]


def training_split(
    dataset_dir: PathLike | Sequence[PathLike] | None,
    validation_dir: PathLike | Sequence[PathLike] | None,
    validation_share: float,
    split_table: PathLike | None = None,
) -> tuple[list[Source], list[Source]]:
    """Return the images to train on and those to validate on.

    Validation images come from ``validation_dir``, or where that is None from a share of the
    training folder, see :func:`split_images`. Where the training folder holds them, too, or copies
    of them, these are not trained on. A ``split_table`` says who is whom, see
    :func:`monai_sr.training.split_table.read_split_table`: its patients are kept apart, and where
    it has a column ``split``, that decides.

    Raises:
        OptionError: if an option or the table does not fit.
    """
    images = list_images(dataset_dir)
    if split_table is None:
        if validation_dir is not None:
            return _apart(images, list_images(validation_dir))
        return _apart(*split_images(images, validation_share))
    table = read_split_table(split_table)
    entries: dict[Source, SplitEntry] = {}
    for image in images:
        for line in table.lines(_names(image)):
            entries[_area(image, line)] = line
    kept = [image for image, line in entries.items() if line.split != "test"]
    if validation_dir is not None:
        return _apart(kept, list_images(validation_dir))
    if not table.has_split:
        return split_images(kept, validation_share, {i: entries[i].subject for i in kept})
    parts = {
        part: [image for image in kept if entries[image].split == part]
        for part in ("train", "validation")
    }
    for part, members in parts.items():
        if not members:
            raise OptionError(
                f"{split_table}: gives no image of {dataset_dir} to {part!r}; add some to the table"
            )
    return parts["train"], parts["validation"]


def _apart(train: list[Source], held: list[Source]) -> tuple[list[Source], list[Source]]:
    """Leave validation images out of training, found by place (a folder in a folder) and content.

    Where nothing else is there, they are learned: who names one folder twice wants that.
    """
    places = {first_file(image).resolve() for image in held}
    starts = {_start(place): place for place in places}

    def is_held(image: Source) -> bool:
        file = first_file(image)
        twin = starts.get(_start(file))
        return file.resolve() in places or bool(twin and filecmp.cmp(file, twin, shallow=False))

    kept = [image for image in train if not is_held(image)]
    count, total = len(train) - len(kept), len(train)
    if count and kept:
        logger.warning("%d of %d training images are for validation, too: left out", count, total)
    elif count:
        logger.warning("all training images are for validation, too, which tells nothing of others")
    return kept or train, held


def _start(file: Path) -> tuple[int, bytes]:
    """Return what tells most files apart at little cost; a folder is taken for no copy."""
    if not file.is_file():
        return 0, os.fsencode(file)
    with file.open("rb") as stream:
        return file.stat().st_size, stream.read(_START_BYTES)


def _area(image: Source, line: SplitEntry) -> Source:
    if line.box is None:
        return image
    if not isinstance(image, Path):
        raise OptionError(
            f"{shown_name(image)}: must be a georeferenced file to be divided by area, "
            "got a series; leave west, south, east, north of the table empty"
        )
    return Area(image, line.box)


def _names(image: Source) -> Iterator[str]:
    """Yield what a table may call an image: the ends of its path, longest first."""
    parts = (image[0].parent if isinstance(image, tuple) else first_file(image)).parts
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def shown_name(source: Source | PathLike) -> str:
    """Return what messages call an image: its file, the folder of a series."""
    if isinstance(source, tuple):
        return str(source[0].parent)
    return str(source.file if isinstance(source, Area) else source)


def try_read(read: Callable[[], T]) -> T | None:
    """Return what is read of an image; one that cannot be used is named in the log, and None."""
    try:
        return read()
    except BadImageError as error:
        logger.warning("unused: %s", error)
        return None


def match_names(references: Sequence[str], names: Sequence[str], scale: int) -> list[list[int]]:
    """Return the places of the partners of every reference, without suffixes.

    Names are equal but for a mark of the scale: 0801 goes with 0801, 0801x4, 0801_x4, and 0801x4m,
    x4d, x4w1 of DIV2K's other tracks. A name with the mark is surer: ax4 may belong to a.
    """
    mark = re.compile(rf"[_-]?x{scale}(?:[md]|w\d)?$", re.IGNORECASE)
    named: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        for key in {name, mark.sub("", name)}:
            named.setdefault(key, []).append(place)
    found = []
    for reference in references:
        places = named.get(reference, [])
        longest = max((len(names[place]) for place in places), default=0)
        found.append([place for place in places if len(names[place]) == longest])
    return found
