"""Make a benchmark of any folder of images."""

from __future__ import annotations

from pathlib import Path

from monai_sr.core.types import PathLike
from monai_sr.evaluation.datasets import Benchmark
from monai_sr.evaluation.decoding import is_volume, read_image
from monai_sr.evaluation.images import every_image
from monai_sr.metrics.protocol import get_protocol


def folder_benchmark(
    root: PathLike,
    *,
    protocol: str = "natural",
    lr_root: PathLike | None = None,
    slice_step: int = 1,
    patient: str = "",
) -> Benchmark:
    """Describe all images of a folder and its subfolders, whose names are classes.

    Args:
        root: holds photos, GeoTIFF, NIfTI or DICOM files, maybe in subfolders.
        protocol: "natural"; or "native": 8-bit and 16-bit images on their own range with rounding,
            others unrounded on the range of the file.
        lr_root: folder of their low-resolution images; None makes them.
        slice_step: of volumes, every how many slices one is judged.
        patient: see :class:`Benchmark`.

    Raises:
        BadImageError: if there is no image.
    """
    folder = Path(root)
    first = every_image(folder)[0]
    levels = 1 if is_volume(first.files) else read_image(first.files)[1]
    return Benchmark(
        name=folder.resolve().name,
        title=folder.resolve().name,
        folders=(str(folder.resolve()),),
        pattern="",
        protocol=get_protocol(protocol, levels if protocol == "native" else None),
        slice_step=slice_step,
        patient=patient,
        lr_folders=() if lr_root is None else (str(Path(lr_root).resolve()),),
    )
