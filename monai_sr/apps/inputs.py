"""Finds the inputs of a run: files, DICOM series and Sentinel-2 products that the user named."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from monai_sr.apps.manifest import Manifest
from monai_sr.apps.products import named_product, product_parts
from monai_sr.core.errors import BadImageError, OutputError
from monai_sr.core.types import PathLike
from monai_sr.readers import find_volumes, is_dicom, is_product
from monai_sr.readers.dicom_series import Volume
from monai_sr.reports import report_path
from monai_sr.writers.classes import classes_path
from monai_sr.writers.uncertainty import uncertainty_path

logger = logging.getLogger(__name__)

# Files that belong to an image beside them; they are no inputs of their own.
_SIDECARS = (".aux.xml", ".ovr", ".msk", ".tfw", ".pgw", ".jgw", ".wld", ".prj")
_LIST_SUFFIX = ".txt"


def find_inputs(
    data: PathLike | None, output_dir: Path, made_from: Iterable[Path], is_named: bool
) -> tuple[dict[Path, list[Path]], Path]:
    """Return name -> files of every input, and the folder whose subfolders results repeat.

    Args:
        data: a file; a folder of one DICOM series; a folder of mixed files (searched with its
            subfolders; hidden files and what lies in ``output_dir`` are left out); a Sentinel-2
            product (``.SAFE`` folder, its zip, or its ``MTD_*.xml``); a pattern such as
            ``scenes/*.tif``; or a ``.txt`` with one of these but lists on each line.
        output_dir: where results go.
        made_from: results on record there.
        is_named: whether messages may show names, and other formats than DICOM are meant.

    Raises:
        BadImageError: if the input is missing or holds no file.
    """
    results = _with_maps(made_from)
    given = _given(data, results)
    found: dict[Path, list[Path]] = {}
    for path in given:
        found.update(_find(path, output_dir, results | _recorded(path, is_named), is_named))
    if not found:
        raise BadImageError(f"{data}: holds no file to enlarge; name a file or another folder")
    if len(given) > 1:
        return found, Path(os.path.commonpath([path.parent for path in given]))
    root = given[0]
    is_folder = root.is_dir() and list(found) != [root] and not (is_named and is_product(root))
    return found, root if is_folder else root.parent


def _given(data: PathLike | None, results: set[Path]) -> list[Path]:
    """Return the paths that an input stands for: one, or those of a pattern or list."""
    if data is None or str(data) == "":
        raise BadImageError("input: no file or folder given; add --input PATH")
    path = Path(str(data))  # a name such as 2021 arrives from MONAI's command as a number
    if path.is_file() and path.suffix.lower() == _LIST_SUFFIX:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        named = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        given = [p for line in named for p in _matches(Path(line), results) or [Path(line)]]
    else:
        given = _matches(path, results)
        if not given:
            raise BadImageError(f"{data}: no such file or folder; check --input")
    if len({p.is_absolute() for p in given}) > 1:
        given = [p.absolute() for p in given]
    return list(dict.fromkeys(named_product(p) or p for p in given))


def _matches(path: Path, results: set[Path]) -> list[Path]:
    """Return what a path or pattern names; results of earlier runs match no pattern."""
    if path.exists():
        # "." and ".." give results no name.
        return [path.resolve() if path.name in ("", "..") else path]
    made = {result.resolve() for result in results}
    found = (Path(name) for name in sorted(glob.glob(str(path), recursive=True)))
    return [p for p in found if not _is_beside(p) and p.resolve() not in made]


def _is_beside(path: Path) -> bool:
    """Tell whether a file is no image of its own."""
    return path.name.lower().endswith(_SIDECARS) or path.name in ("DICOMDIR", Manifest.name)


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


def _find(
    root: Path, output_dir: Path, results: set[Path], is_named: bool
) -> dict[Path, list[Path]]:
    """Return name -> files: one entry for each plain file, DICOM series and part of a product.

    ``results`` of earlier runs are left out, and all of ``output_dir`` where it is not ``root``.
    Warnings show names only where ``is_named``; so are products, which are no DICOM.
    """
    if is_named and is_product(root):
        return product_parts(root)
    if not root.is_dir():
        return {root: [root]}
    outputs = {path.resolve() for path in results}
    if output_dir.resolve() != root.resolve():
        outputs.add(output_dir.resolve())
    for link in root.rglob("*"):
        if link.is_symlink() and not link.is_file():
            name = link if is_named else "a link"
            logger.warning("%s: links to folders and broken links are not followed", name)
    entries = [
        f
        for f in sorted(root.rglob("*"))
        if not any(part.startswith(".") for part in f.relative_to(root).parts)
        and not _is_beside(f)
        and outputs.isdisjoint((f.resolve(), *f.resolve().parents))
    ]
    products = {f for f in entries if not f.is_symlink() and is_product(f)} if is_named else set()
    files = [f for f in entries if f.is_file() and products.isdisjoint((f, *f.parents))]
    found: dict[Path, list[Path]] = {}
    for product in products:
        found.update(product_parts(product))
    dicom = {f for f in files if is_dicom(f)}
    copies: set[Path] = set()
    for folder in sorted({f.parent for f in dicom}):
        series = [v for v in find_volumes(folder) if set(v.paths) <= dicom]
        for volume in series:
            found[_series_name(folder, volume, series, found)] = list(volume.paths)
            if volume.copies:
                name = folder if is_named else "a series"
                logger.warning(
                    "%s: %d files are copies of others and were left out (%s)",
                    name,
                    len(volume.copies),
                    ", ".join(f.name for f in volume.copies[:3]) if is_named else "equal objects",
                )
                copies.update(volume.copies)
    grouped = {f for group in found.values() for f in group} | copies
    found.update({f: [f] for f in files if f not in grouped})
    return dict(sorted(found.items()))


def _series_name(
    folder: Path, volume: Volume, beside: Sequence[Volume], taken: Collection[Path]
) -> Path:
    """Name what one volume, or one file, of a folder is called."""
    first = volume.paths[0]
    if len(volume.paths) == 1:
        return first
    if len(beside) == 1:
        return folder
    # Several in one folder go by their first files: the names stay when others come.
    name = folder / f"{first.stem}_{volume.label or 'series'}"
    while name.exists() or name in taken:
        name = name.with_name(f"{name.name}_series")
    return name
