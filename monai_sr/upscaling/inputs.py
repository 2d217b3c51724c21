"""Finds the inputs of a run: what a name, a pattern or a list stands for, and what folders hold."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from monai_sr.core import BadImageError, OutputError, get_logger
from monai_sr.formats import (
    Volume,
    claims_image,
    find_volumes,
    format_of,
    image_folders,
    is_dicomdir,
    is_product,
    join_folders,
    listed_files,
    merge_copies,
    pair_of,
)
from monai_sr.upscaling.far_inputs import FarInputs
from monai_sr.upscaling.given import Given, given_paths, is_beside, with_maps
from monai_sr.upscaling.manifest import Manifest
from monai_sr.upscaling.temporary import Archives, is_archive, product_parts

logger = get_logger(__name__)


@dataclass(frozen=True)
class Inputs:
    """What an input names.

    Attributes:
        files: name -> files of each image.
        root: folder whose subfolders results repeat.
        archives: zips among them, unpacked for as long as this lives.
        refused: name -> message of zips that cannot be unpacked.
        no_images: how many files were passed over, which do not claim to be images.
        far: files for addresses among them, for as long as this lives.
    """

    files: dict[Path, list[Path]]
    root: Path
    archives: Archives
    refused: dict[Path, str]
    no_images: int
    far: FarInputs = field(default_factory=FarInputs)


def find_inputs(data: Given, output_dir: Path, made_from: Iterable[Path], is_named: bool) -> Inputs:
    """Return every input that a name stands for.

    Args:
        data: a file; an address of one, see :mod:`monai_sr.core.address`; a folder of one DICOM
            series; a folder of mixed files (searched with its subfolders; hidden files and what
            lies in ``output_dir`` are left out); a zip of such a folder; a DICOMDIR; a Sentinel-2
            product (``.SAFE`` folder, its zip, or its ``MTD_*.xml``); a pattern such as
            ``scenes/*.tif``; or a ``.txt`` with one of these but lists on each line. Of several
            results on record are left out, as a pattern leaves them that a shell has expanded.
        output_dir: where results go.
        made_from: results on record there.
        is_named: whether messages may show names, and other formats than DICOM are meant.

    Raises:
        BadImageError: if the input is missing or holds no image.
    """
    results = with_maps(made_from)
    search = Search(output_dir, is_named)
    given = given_paths(data, results, partial(search.far.bring, archives=search.archives))
    for path, is_asked in given.items():
        try:
            search.find(path, results | _recorded(path, is_named), is_asked)
        except BadImageError as error:  # one bad input never ends a run of several
            if len(given) == 1 or not is_named:
                raise
            search.refused[path] = str(error)
    if not search.found and not search.refused:
        got = f", got {search.no_images} other files" if search.no_images else ""
        name = "input" if isinstance(data, list) else data
        raise BadImageError(f"{name}: holds no file to enlarge{got}; name a file or another folder")
    root = search.root(next(iter(given)))
    if len(given) > 1:
        root = Path(os.path.commonpath([path.parent for path in given]))
    return Inputs(search.found, root, search.archives, search.refused, search.no_images, search.far)


def one_series(files: Sequence[Path]) -> Inputs:
    """Return one input of files that belong together: named as their folder is.

    Raises:
        BadImageError: if there is none, or one is missing.
    """
    if not files:
        raise BadImageError("input: must be a file or the files of a series, got none; name some")
    for file in files:
        if not file.is_file():
            raise BadImageError(f"{file}: no such file; check the input")
    if len(files) == 1:
        return Inputs({files[0]: list(files)}, files[0].parent, Archives(), {}, 0)
    folder = Path(os.path.commonpath([os.path.abspath(file.parent) for file in files]))
    return Inputs({folder: list(files)}, folder.parent, Archives(), {}, 0)


def _recorded(root: Path, is_named: bool) -> set[Path]:
    """Return the results that earlier runs left in subfolders of the input.

    Not those in the input folder itself: naming a folder of results means to enlarge them again.
    """
    results: set[Path] = set()
    for record in root.glob(f"*/**/{Manifest.name}"):
        try:
            results |= with_maps(Manifest(record.parent).sources())
        except OutputError as error:
            logger.warning("%s", error if is_named else "the record of an earlier run is damaged")
    return results


Found = dict[Path, list[Path]]


class Search:
    """Collects the images that paths stand for.

    Args:
        output_dir: where results go; what lies there is no input.
        is_named: whether messages may show names, and other formats than DICOM are meant.

    Attributes:
        found: name -> files of every image: a plain file or folder, a series, a part of a product.
        refused: name -> message of zips that cannot be unpacked.
        no_images: how many files were passed over.
        archives: unpacked zips; their members go by the zip's name and their own.
        far: files for addresses.
    """

    def __init__(self, output_dir: Path, is_named: bool) -> None:
        self.found: Found = {}
        self.refused: dict[Path, str] = {}
        self.no_images = 0
        self.archives = Archives()
        self.far = FarInputs()
        self._output_dir, self._is_named = output_dir, is_named
        self._folders: dict[Path, Path] = {}

    def find(self, path: Path, results: set[Path], is_asked: bool) -> None:
        """Add what a path stands for.

        Args:
            path: file or folder.
            results: of earlier runs, which are left out, and so is all of the output folder where
                ``path`` does not lie in it.
            is_asked: whether the user named just this: then it must be an image.

        Raises:
            BadImageError: it is a pipe or device, or a zip or a DICOMDIR that was asked for cannot
                be used.
        """
        if path.exists() and not (path.is_file() or path.is_dir()):
            # Not one byte of it is read: a pipe would wait for a writer.
            raise BadImageError(
                f"{path}: must be a file or folder, got a pipe or device; write what it gives "
                "into a file first"
            )
        if self._is_named and is_product(path):
            self.found.update(product_parts(path))
        elif path.is_dir() and format_of(path).is_folder:
            self.found[path] = [path]
        elif path.is_dir():
            self._folders[path] = path
            self.found.update(self._images(path, results))
        elif is_archive(path):
            self._folders[path] = path
            self.found.update(self._archive(path, is_asked))
        elif is_dicomdir(path):
            self._folders[path] = path.parent
            self.found.update(self._images(path.parent, results, listed_files(path)))
        else:
            pair = pair_of(path)
            path = path if pair is None else pair[0]
            if is_asked or claims_image(path):
                self.found[path] = [path]
            else:
                self.no_images += 1

    def root(self, path: Path) -> Path:
        """Return the folder whose subfolders results repeat, of a path that was searched."""
        folder = self._folders.get(path)
        is_one_series = list(self.found) == [folder]
        return path.parent if folder is None else folder.parent if is_one_series else folder

    def _archive(self, path: Path, is_asked: bool) -> Found:
        try:
            folder = self.archives.unpack(path)
        except BadImageError as error:
            if is_asked:
                raise
            if not self._is_named:
                return {path: [path]}  # its reader will say so, by its alias
            self.refused[path] = str(error)
            return {}
        before = self.no_images
        inside = self._images(folder, set(), opens_zips=False)
        if not inside and not is_asked:
            self.no_images = before + 1
        return {path / name.relative_to(folder): files for name, files in inside.items()}

    def _images(
        self,
        root: Path,
        results: set[Path],
        only: set[Path] | None = None,
        opens_zips: bool = True,
    ) -> Found:
        """Return the images of a folder and its subfolders, of a DICOMDIR ``only`` those listed."""
        outputs = {path.resolve() for path in results}
        here, output_dir = root.resolve(), self._output_dir.resolve()
        if output_dir not in (here, *here.parents):  # as "-o .", where just the record tells
            outputs.add(output_dir)
        self._warn_of_links(root)
        every = sorted(root.rglob("*"))
        # Counted once: with a look into its folder for each header, time grew with their square.
        sharing = Counter(f.with_suffix("") for f in every)
        images = image_folders(every)
        entries = [
            f
            for f in every
            if images.isdisjoint(f.parents)
            and not any(part.startswith(".") for part in f.relative_to(root).parts)
            and not is_beside(f)
            and outputs.isdisjoint((f.resolve(), *f.resolve().parents))
        ]
        products: set[Path] = set()
        if self._is_named and only is None:
            products = {f for f in entries if not f.is_symlink() and is_product(f)}
        files = [f for f in entries if f.is_file() and products.isdisjoint((f, *f.parents))]
        files = files if only is None else [f for f in files if f in only]
        found: Found = {f: [f] for f in entries if f in images}
        for product in products:
            found.update(product_parts(product))
        dicom = {f for f in files if format_of(f).has_series}
        found.update(self._series(dicom))
        for file in files:
            if opens_zips and is_archive(file):
                found.update(self._archive(file, False))
            elif file not in dicom and not _is_part(file, sharing):
                if claims_image(file):
                    found[file] = [file]
                else:
                    self.no_images += 1
        return dict(sorted(found.items()))

    def _series(self, dicom: set[Path]) -> Found:
        """Return the DICOM images of folders; objects without pixels are counted."""
        images: list[Volume] = []
        for folder in sorted({f.parent for f in dicom}):
            volumes = [_only(volume, dicom) for volume in find_volumes(folder)]
            volumes = [volume for volume in volumes if volume.paths]
            known = {f for volume in volumes for f in (*volume.paths, *volume.copies)}
            media = [f for f in dicom if f.parent == folder and f not in known]  # directories
            claimed = [v for v in volumes if len(v.paths) > 1 or claims_image(v.paths[0])]
            self.no_images += len(media) + len(volumes) - len(claimed)
            images += claimed
        images = join_folders(merge_copies(images))
        beside: dict[Path, list[Volume]] = defaultdict(list)
        for volume in images:
            beside[_folder_of(volume)].append(volume)
        found: Found = {}
        for volume in images:
            folder = _folder_of(volume)
            found[_series_name(folder, volume, beside[folder], found)] = list(volume.paths)
            self._warn_of_copies(folder, volume)
        return found

    def _warn_of_copies(self, folder: Path, volume: Volume) -> None:
        if volume.copies:
            copies = volume.copies[:3]
            names = (f.name if f.parent == folder else str(f) for f in copies)
            logger.warning(
                "%s: %d files are copies of others and were left out (%s)",
                folder if self._is_named else "a series",
                len(volume.copies),
                ", ".join(names) if self._is_named else "equal objects",
            )

    def _warn_of_links(self, root: Path) -> None:
        for link in root.rglob("*"):
            if link.is_symlink() and not link.is_file():
                name = link if self._is_named else "a link"
                logger.warning("%s: links to folders and broken links are not followed", name)


def _folder_of(volume: Volume) -> Path:
    return Path(os.path.commonpath([file.parent for file in volume.paths]))


def _only(volume: Volume, files: set[Path]) -> Volume:
    chosen = [(f, u) for f, u in zip(volume.paths, volume.uids, strict=True) if f in files]
    copies = tuple(f for f in volume.copies if f in files)
    paths, uids = (tuple(each) for each in zip(*chosen, strict=True)) if chosen else ((), ())
    return replace(volume, paths=paths, uids=uids, copies=copies)


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


def _is_part(file: Path, sharing: Mapping[Path, int]) -> bool:
    """Tell whether a file belongs to another image: voxels of a pair, headers of raw rasters.

    Args:
        file: one of a folder that was searched.
        sharing: path without suffix -> how many have it.
    """
    if file.suffix.lower() not in (".hdr", ".img", ".gz"):
        return False
    pair = pair_of(file)
    if pair is not None:
        return file != pair[0]
    return file.suffix.lower() == ".hdr" and sharing[file.with_suffix("")] > 1
