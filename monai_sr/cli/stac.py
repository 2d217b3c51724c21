"""``monai-sr upscale item.json``: a STAC item in, an item of its enlarged assets out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def upscale_stac_item(
    arguments: argparse.Namespace, bundle: Path | None, options: dict[str, Any]
) -> None:
    """Enlarge assets of the item that the command names, and say where the new item is.

    Args:
        arguments: of the command.
        bundle: which enlarges; None: by the header of each asset.
        options: entries of its ``inference.yaml``.
    """
    from monai_sr.catalogs import upscale_item
    from monai_sr.core import get_logger, printable
    from monai_sr.upscaling import FileUpscaler

    source, output = options.pop("input"), options.pop("output_dir")
    upscaler = FileUpscaler(bundle, progress=True, **options)
    wanted = [key for key in (arguments.assets or "").split(",") if key]
    item = upscale_item(source, output, upscaler, wanted)
    get_logger(__name__).info("item: %s", printable(item))
