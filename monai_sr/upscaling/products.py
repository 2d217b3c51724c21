"""Sentinel-2 products among the inputs of a run: one input for each resolution."""

from __future__ import annotations

import os
import shutil
import weakref
from pathlib import Path

from monai_sr.core.errors import BadImageError
from monai_sr.core.fingerprint import sha256
from monai_sr.core.log import forget, show_as
from monai_sr.core.private_folder import make_private_folder
from monai_sr.formats import is_product
from monai_sr.formats.raster.open import made_folder
from monai_sr.formats.sentinel2.metadata import METADATA, open_product
from monai_sr.formats.sentinel2.product import class_file, product_stem, split_part, write_vrt

_DIGITS = 12


class Products:
    """Makes rasters of parts of products, in a temporary folder that goes with this object."""

    def __init__(self) -> None:
        self.folder = make_private_folder()
        weakref.finalize(self, _remove, self.folder, os.getpid())

    def raster(self, part: str) -> tuple[Path, str | None]:
        """Return the raster of a part, and the file of the scene classes that belong beside it.

        Args:
            part: a name that :func:`product_parts` gave.

        Raises:
            BadImageError: if the product is damaged.
        """
        found = split_part(part)
        if found is None:
            raise BadImageError(f"{part}: the product is gone; check the name")
        product = open_product(found[0])
        classes = class_file(product, found[1])
        # Products of one name may lie in several folders.
        digest = sha256(part)[:_DIGITS]
        place = made_folder(self.folder, digest)
        show_as(place, str(found[0]))
        return write_vrt(product, found[1], place), classes


def _remove(folder: Path, process: int) -> None:
    # A worker of a data loader has a copy of this object, not a folder of its own.
    if os.getpid() == process:
        forget(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def product_parts(path: Path) -> dict[Path, list[Path]]:
    """Return the inputs that a product stands for, by the names that their results go by.

    A damaged one stands for itself: reading it will say what is wrong.

    Args:
        path: folder or zip of a product.
    """
    try:
        parts = open_product(path).parts()
    except BadImageError:
        return {path: [Path(f"{path}:10m")]}
    suffix = ".zip" if path.is_file() else ".SAFE"
    stem = product_stem(path)
    return {
        path.with_name(f"{stem}_{part.name.rpartition(':')[2]}{suffix}"): [part] for part in parts
    }


def named_product(path: Path) -> Path | None:
    """Return the product that a path names, by itself or by the file of its metadata."""
    if path.is_file() and METADATA.fullmatch(path.name):
        path = path.absolute().parent
    return path if is_product(path) else None
