"""Says what an input is made of, and whether that is as it was: files, checksums, changes.

A raster is more than its file: GDAL takes statistics and nodata from .aux.xml, overviews from .ovr,
the place from a worldfile, and the pixels of a VRT from other files.
https://gdal.org/user/raster_data_model.html, "Auxiliary files".
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from monai_sr.core import BadImageError, PathLike, content, file_sha256, sha256
from monai_sr.formats.raster.far import renew
from monai_sr.formats.registry import format_of
from monai_sr.formats.sentinel2.metadata import Product, open_product
from monai_sr.formats.sentinel2.product import class_file, split_part


def dependencies(path: PathLike) -> list[Path]:
    """Return all files that decide on an image: itself, those beside it, the sources of a VRT.

    Args:
        path: a file.

    Returns:
        The file first, then the others, sorted; those of a VRT's sources, too.
    """
    first = Path(path)
    found: dict[str, Path] = {}
    todo = [first]
    while todo:
        file = todo.pop()
        key = os.path.realpath(file)
        if key not in found and (file == first or file.is_file()):
            found[key] = file
            todo += format_of(file).companions(file) if file.is_file() else []
    others = [file for file in found.values() if file != first]
    return [first, *sorted(others, key=lambda file: (file.name, str(file)))]


def digest(paths: Iterable[PathLike], *, anew: bool = False) -> str:
    """Return the SHA-256 of a file; of several or a folder, that of their names and sums.

    Args:
        paths: of the files, or the folder.
        anew: read the disk, whatever is kept of the files.

    Raises:
        OSError: if a file cannot be read.
    """
    files = [Path(path) for path in paths]
    if len(files) == 1 and files[0].is_dir():
        files = sorted(file for file in files[0].rglob("*") if file.is_file())
    elif len(files) == 1:
        return file_sha256(files[0], anew=anew)
    lines = "".join(f"{file_sha256(file, anew=anew)}  {file.name}\n" for file in files)
    return sha256(lines)


def input_digest(image: str | Sequence[str], *, anew: bool = False) -> str:
    """Return the checksum of an input and of all that it depends on.

    Of a part of a product, those are its bands and metadata.

    Args:
        image: file, files of a DICOM series, or part of a Sentinel-2 product.
        anew: read the disk; else the bytes are kept that a reader will take, where they are few.

    Raises:
        OSError: if a file cannot be read.
        BadImageError: if a product is damaged.
    """
    part = split_part(image) if isinstance(image, str) else None
    if not isinstance(image, str):
        files = [Path(file) for file in image]
    elif part is None:
        files = dependencies(image)
    elif part[0].is_file():
        files = [part[0]]
    else:
        product = open_product(part[0])
        files = [*part[0].glob("MTD_MSIL*.xml"), *map(Path, _files(product, part[1]))]
    for file in files:
        if anew:
            renew(file)
        if not anew and format_of(file).takes_kept(file):
            content(file)
    return digest(files, anew=anew)


def _files(product: Product, resolution: int) -> list[str]:
    classes = class_file(product, resolution)
    images = [product.images[band, resolution] for band in product.bands(resolution)]
    return [*(file for file in images if file), *([] if classes is None else [classes])]


def input_record(image: str | Sequence[str], sha256: str, name: str) -> str:
    """Return what :func:`check_unchanged` needs, as text.

    Args:
        image: as for :func:`input_digest`.
        sha256: its checksum before it was read.
        name: what messages call it.
    """
    return json.dumps([image, sha256, name])


def check_unchanged(record: str) -> None:
    """Refuse a result whose input is not what it was when it was read.

    Args:
        record: from :func:`input_record`; empty where nothing is known.

    Raises:
        BadImageError: the input has changed or is gone.
    """
    if not record:
        return
    image, sha256, name = json.loads(record)
    try:
        now = input_digest(image, anew=True)
    except (OSError, BadImageError):
        now = ""
    if now != sha256:
        raise changed(name)


def changed(name: PathLike) -> BadImageError:
    """Return the error of an input that another program has written to meanwhile."""
    return BadImageError(
        f"{name}: must stay as it is until its result is written, got other content than at the "
        "start; run again when nothing writes to it"
    )
