"""``monai-sr upscale`` of a BIDS data set, or of a STAC item."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def upscale_data_set(
    arguments: argparse.Namespace, bundle: Path | None, options: dict[str, Any]
) -> None:
    """Enlarge the images of the BIDS data set that the command names.

    Args:
        arguments: of the command.
        bundle: which enlarges; None: by the header of each image.
        options: entries of its ``inference.yaml``.
    """
    from monai_sr.catalogs import upscale_bids
    from monai_sr.upscaling import FileUpscaler

    dataset, output = options.pop("input"), options.pop("output_dir")
    upscaler = FileUpscaler(bundle, progress=True, **options)
    upscale_bids(
        dataset,
        output,
        upscaler,
        participants=arguments.participant_label or (),
        suffixes=arguments.bids_suffix or (),
    )


def upscale_stac_item(
    arguments: argparse.Namespace, bundle: Path | None, options: dict[str, Any]
) -> None:
    """Enlarge assets of the STAC item that the command names, and say where the new item is.

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
