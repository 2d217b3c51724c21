"""Tells whether a result on record need not be made again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from monai_sr.formats.identity import digest
from monai_sr.formats.sentinel2.classes import classes_path
from monai_sr.formats.sentinel2.metadata import open_product
from monai_sr.formats.sentinel2.product import class_file, split_part
from monai_sr.formats.uncertainty_map import uncertainty_path


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
