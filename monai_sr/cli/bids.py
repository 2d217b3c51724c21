"""``monai-sr upscale --bids``: a BIDS data set in, its derivatives out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def upscale_data_set(
    arguments: argparse.Namespace, bundle: Path | None, options: dict[str, Any]
) -> None:
    """Enlarge the images of the data set that the command names.

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
