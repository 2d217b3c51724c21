"""Finds the inputs of a run: what a name, a pattern or a list of the user stands for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from monai_sr.core.errors import BadImageError, OutputError
from monai_sr.core.log import get_logger
from monai_sr.core.types import PathLike
from monai_sr.formats import report_path
from monai_sr.formats.sentinel2.classes import classes_path
from monai_sr.formats.uncertainty_map import uncertainty_path
from monai_sr.upscaling.archives import Archives
from monai_sr.upscaling.manifest import Manifest
from monai_sr.upscaling.products import named_product
from monai_sr.upscaling.search import Search, is_beside

logger = get_logger(__name__)

_LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class Inputs:
    """What an input names.

    Attributes:
        files: name -> files of each image.
        root: folder whose subfolders results repeat.
        archives: zips among them, unpacked for as long as this lives.
        refused: name -> message of zips that cannot be unpacked.
        no_images: how many files were passed over, which do not claim to be images.
    """

    files: dict[Path, list[Path]]
    root: Path
    archives: Archives
    refused: dict[Path, str]
    no_images: int


def find_inputs(
    data: PathLike | None, output_dir: Path, made_from: Iterable[Path], is_named: bool
) -> Inputs:
    """Return every input that a name stands for.

    Args:
        data: a file; a folder of one DICOM series; a folder of mixed files (searched with its
            subfolders; hidden files and what lies in ``output_dir`` are left out); a zip of such a
            folder; a DICOMDIR; a Sentinel-2 product (``.SAFE`` folder, its zip, or its
            ``MTD_*.xml``); a pattern such as ``scenes/*.tif``; or a ``.txt`` with one of these but
            lists on each line.
        output_dir: where results go.
        made_from: results on record there.
        is_named: whether messages may show names, and other formats than DICOM are meant.

    Raises:
        BadImageError: if the input is missing or holds no image.
    """
    results = _with_maps(made_from)
    given = _given(data, results)
    search = Search(output_dir, is_named)
    for path, is_asked in given.items():
        search.find(path, results | _recorded(path, is_named), is_asked)
    if not search.found and not search.refused:
        got = f", got {search.no_images} other files" if search.no_images else ""
        raise BadImageError(f"{data}: holds no file to enlarge{got}; name a file or another folder")
    root = search.root(next(iter(given)))
    if len(given) > 1:
        root = Path(os.path.commonpath([path.parent for path in given]))
    return Inputs(search.found, root, search.archives, search.refused, search.no_images)


def _given(data: PathLike | None, results: set[Path]) -> dict[Path, bool]:
    """Return the paths that an input stands for, and whether it names each of them itself."""
    if data is None or str(data) == "":
        raise BadImageError("input: no file or folder given; add --input PATH")
    path = Path(str(data))  # a name such as 2021 arrives from MONAI's command as a number
    if path.is_file() and path.suffix.lower() == _LIST_SUFFIX:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        named = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    else:
        named = [str(path)]
    given: dict[Path, bool] = {}
    for name in named:
        for match in _matches(Path(name), results) or [Path(name)]:
            is_asked = Path(name).exists() or match == Path(name)
            given[match] = is_asked or given.get(match, False)
    if named == [str(path)] and not any(p.exists() for p in given):
        raise BadImageError(f"{data}: no such file or folder; check --input")
    if len({p.is_absolute() for p in given}) > 1:
        given = {p.absolute(): is_asked for p, is_asked in given.items()}
    return {named_product(p) or p: is_asked for p, is_asked in given.items()}


def _matches(path: Path, results: set[Path]) -> list[Path]:
    """Return what a path or pattern names; results of earlier runs match no pattern."""
    if path.exists():
        # "." and ".." give results no name.
        return [path.resolve() if path.name in ("", "..") else path]
    made = {result.resolve() for result in results}
    found = (Path(name) for name in sorted(glob.glob(str(path), recursive=True)))
    return [p for p in found if not is_beside(p) and p.resolve() not in made]


def _with_maps(results: Iterable[Path]) -> set[Path]:
    """Add the maps of uncertainty and the classes that may lie beside results."""
    made = set(results)
    return made.union(*((uncertainty_path(r), classes_path(r), report_path(r)) for r in made))


def _recorded(root: Path, is_named: bool) -> set[Path]:
    """Return the results that earlier runs left in subfolders of the input.

    Not those in the input folder itself: naming a folder of results means to enlarge them again.
    """
    results: set[Path] = set()
    for record in root.glob(f"*/**/{Manifest.name}"):
        try:
            results |= _with_maps(Manifest(record.parent).sources())
        except OutputError as error:
            logger.warning("%s", error if is_named else "the record of an earlier run is damaged")
    return results
