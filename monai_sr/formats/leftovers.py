"""Removes what lies beside a result of an older one of its name: maps, masks, overviews, pages.

Whoever opens the new result would take them for its own. GDAL driver GTiff, "Georeferencing" and
"Nodata value", https://gdal.org/drivers/raster/gtiff.html: which files it looks for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_sr.formats.naming import report_path, stem_and_suffix, uncertainty_path
from monai_sr.formats.raster.beside import files_of_gdal
from monai_sr.formats.raster.format import SIDECARS
from monai_sr.formats.registry import known_suffix
from monai_sr.formats.sentinel2.classes import classes_path

# Beside a TIFF GDAL looks for RPCs and for the table of MapInfo, too.
_TIFF_PLACES = (".tfw", ".wld", ".tab", "_RPC.TXT", "_rpc.txt", ".RPB", ".rpb", ".IMD", ".imd")
_PLACES = {
    ".tif": (".tifw", *_TIFF_PLACES),
    ".tiff": (".tiffw", *_TIFF_PLACES),
    ".png": (".pgw", ".pngw", ".wld"),
}


@contextmanager
def replacing(result: Path, *, has_maps: bool = True) -> Iterator[None]:
    """Remove what belongs to an older result, once the block has put the new one into its place.

    Not before: a block that fails leaves the older result whole. What the block itself writes
    stays, and so does what several images of one stem may share. Where there is no older result,
    maps and pages that are named like its own are somebody else's.

    Args:
        result: final name of the result, a file or a folder.
        has_maps: whether results of this kind have maps, classes and pages beside them.
    """
    older = {path: mark for path in _beside(result, has_maps) if (mark := _mark(path))}
    yield
    for path, mark in older.items():
        if _mark(path) != mark:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _beside(result: Path, has_maps: bool) -> list[Path]:
    """Return what is there that may belong to a result alone."""
    by_stem: list[Path] = []
    if result.exists():
        ends = _PLACES.get(result.suffix.lower(), ())
        by_stem += [result.with_name(f"{result.stem}{end}") for end in ends]
        if has_maps:
            maps = [uncertainty_path(result), classes_path(result)]
            by_stem += [*maps, report_path(result)]
            by_stem += [file for path in maps for file in files_of_gdal(path)]
    found = [path for path in by_stem if os.path.exists(path)]
    if found and _has_sibling(result):
        found = []
    return [*found, *files_of_gdal(result)]


def _has_sibling(result: Path) -> bool:
    """Tell whether another image has the stem of a result: what lies there may belong to it."""
    stem = stem_and_suffix(result)[0]
    with os.scandir(result.parent) as entries:
        return any(
            entry.name.startswith(f"{stem}.")
            and entry.name != result.name
            and not entry.name.lower().endswith(SIDECARS)
            and bool(known_suffix(entry.name))
            for entry in entries
        )


def _mark(path: Path) -> tuple[int, ...]:
    """Return what tells a file or folder from another of its name; nothing where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns
