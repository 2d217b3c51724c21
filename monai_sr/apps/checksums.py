"""Checksums of inputs and results: they tell whether a result on record need not be made again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_sr.core.types import PathLike
from monai_sr.readers.sentinel2 import class_file, split_part
from monai_sr.readers.sentinel2_metadata import Product, open_product
from monai_sr.writers.classes import classes_path
from monai_sr.writers.uncertainty import uncertainty_path

_CHUNK_BYTES = 2**20


def digest(paths: Iterable[PathLike]) -> str:
    """Return the SHA-256 of a file; of several or a folder, that of their names and sums.

    Raises:
        OSError: if a file cannot be read.
    """
    files = [Path(path) for path in paths]
    if len(files) == 1 and files[0].is_dir():
        files = sorted(file for file in files[0].rglob("*") if file.is_file())
    elif len(files) == 1:
        return _file_digest(files[0])
    lines = "".join(f"{_file_digest(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def _file_digest(file: Path) -> str:
    total = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            total.update(chunk)
    return total.hexdigest()


def input_digest(image: str | Sequence[str]) -> str:
    """Return the checksum of an input: of a part of a product, that of its bands and metadata.

    Args:
        image: file, files of a DICOM series, or part of a Sentinel-2 product.

    Raises:
        OSError: if a file cannot be read.
        BadImageError: if a product is damaged.
    """
    if not isinstance(image, str):
        return digest(image)
    part = split_part(image)
    if part is None:
        return digest([image])
    if part[0].is_file():
        return digest([part[0]])
    product = open_product(part[0])
    return digest([*part[0].glob("MTD_MSIL*.xml"), *_files(product, part[1])])


def _files(product: Product, resolution: int) -> list[str]:
    classes = class_file(product, resolution)
    images = [product.images[band, resolution] for band in product.bands(resolution)]
    return [*(file for file in images if file), *([] if classes is None else [classes])]


def is_done(
    record: Mapping[str, str], output: Path, input_sha256: str, made_by: str, has_map: bool
) -> bool:
    """Tell whether a result is there, unchanged, and made of this input by these means.

    Args:
        record: row of the manifest.
        output: the result.
        input_sha256: checksum of the input as it is now.
        made_by: fingerprint of the weights and options of this run; empty where unknown.
        has_map: whether a map of uncertainty belongs beside it.
    """
    if not made_by or (record["input_sha256"], record["made_by"]) != (input_sha256, made_by):
        return False
    if has_map and not uncertainty_path(output).exists():
        return False
    part = split_part(record["source"])
    has_classes = part is not None and class_file(open_product(part[0]), part[1]) is not None
    if has_classes and not classes_path(output).exists():
        return False
    return output.exists() and digest([output]) == record["output_sha256"]
