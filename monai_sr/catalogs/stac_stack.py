"""Joins bands of several rasters of one grid into one raster, which is enlarged as one image."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import rasterio
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from monai_sr.core import BadImageError, is_address
from monai_sr.formats import open_raster
from monai_sr.upscaling import Archives, FarInputs

_TILE_PX = 512


def stacked(places: Sequence[str], keys: Sequence[str], target: Path) -> Path:
    """Copy single bands into one GeoTIFF, with their names, units, scales and offsets.

    Args:
        places: files or addresses.
        keys: what the bands are called.
        target: the file to make.

    Raises:
        BadImageError: one has several bands, or another grid, type or nodata than the first.
    """
    far, archives = FarInputs(), Archives()
    with ExitStack() as stack:
        files = [far.bring(p, archives) if is_address(p) else Path(p) for p in places]
        bands = [stack.enter_context(open_raster(file)) for file in files]
        first = bands[0]
        for key, band in zip(keys, bands, strict=True):
            _check(key, band, keys[0], first)
        profile = {
            "driver": "GTiff", "count": len(bands), "width": first.width, "height": first.height,
            "dtype": first.dtypes[0], "crs": first.crs, "transform": first.transform,
            "nodata": first.nodata, "tiled": True, "blockxsize": _TILE_PX, "blockysize": _TILE_PX,
            "compress": "lzw", "bigtiff": "if_safer", "interleave": "band",
            "photometric": "minisblack",
        }  # fmt: skip
        with rasterio.open(target, "w", **profile) as dst:
            dst.colorinterp = [ColorInterp.gray, *[ColorInterp.undefined] * (len(bands) - 1)]
            dst.descriptions = [b.descriptions[0] or k for k, b in zip(keys, bands, strict=True)]
            dst.scales = [band.scales[0] for band in bands]
            dst.offsets = [band.offsets[0] for band in bands]
            dst.units = [band.units[0] or "" for band in bands]
            for number, band in enumerate(bands, 1):
                for _, window in dst.block_windows(1):
                    dst.write(band.read(1, window=window), number, window=window)
    return target


def _check(key: str, band: DatasetReader, name: str, first: DatasetReader) -> None:
    if band.count != 1:
        raise BadImageError(
            f"{key}: must be a single band to be stacked, got {band.count}; name it alone"
        )
    for what in ("crs", "transform", "shape", "dtypes", "nodata"):
        found, wanted = getattr(band, what), getattr(first, what)
        if str(found) != str(wanted):
            raise BadImageError(
                f"{key}: must have the {what} of {name} to be stacked, got {_line(found)} and "
                f"{_line(wanted)}; name it alone"
            )


def _line(value: object) -> str:
    return " ".join(str(value).split())[:120]
