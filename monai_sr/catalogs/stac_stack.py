"""Joins bands of several rasters of one grid into one raster, which is enlarged as one image."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from monai_sr.core import BadImageError, get_logger, ignored_warnings, is_address
from monai_sr.formats import open_raster
from monai_sr.geometry import source_rpcs
from monai_sr.upscaling import Archives, FarInputs

logger = get_logger(__name__)

_TILE_PX = 512
_GEOLOCATION = "GEOLOCATION"


def stacked(
    places: Sequence[str], keys: Sequence[str], target: Path, codes: Collection[str] = ()
) -> Path:
    """Copy single bands into one GeoTIFF, with their names, units, scales and offsets.

    The result lies where they lie, by transform, ground control points or RPCs; it has their mask
    and the tags that all of them have.

    Args:
        places: files or addresses.
        keys: what the bands are called.
        target: the file to make.
        codes: those of the keys whose values are codes.

    Raises:
        BadImageError: one has several bands, or another place, type, nodata or mask than the first.
    """
    far, archives = FarInputs(), Archives()
    # Ground control points and RPCs are a place, too.
    with ExitStack() as stack, ignored_warnings(NotGeoreferencedWarning):
        files = [far.bring(p, archives) if is_address(p) else Path(p) for p in places]
        bands = [stack.enter_context(open_raster(file)) for file in files]
        first = bands[0]
        for key, band in zip(keys, bands, strict=True):
            _check(key, band, keys[0], first)
        profile = {
            "driver": "GTiff", "count": len(bands), "width": first.width, "height": first.height,
            "dtype": first.dtypes[0], "nodata": first.nodata, "tiled": True,
            "blockxsize": _TILE_PX, "blockysize": _TILE_PX, "compress": "lzw",
            "bigtiff": "if_safer", "interleave": "band", "photometric": "minisblack",
            **_place(first),
        }  # fmt: skip
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(target, "w", **profile) as dst,
        ):
            dst.colorinterp = [ColorInterp.gray, *[ColorInterp.undefined] * (len(bands) - 1)]
            dst.descriptions = [b.descriptions[0] or k for k, b in zip(keys, bands, strict=True)]
            dst.scales = [band.scales[0] for band in bands]
            dst.offsets = [band.offsets[0] for band in bands]
            dst.units = [band.units[0] or "" for band in bands]
            _copy_tags(bands, dst)
            for number, key in enumerate(keys, 1):
                if key in codes:
                    dst.update_tags(number, LAYER_TYPE="thematic")
            for _, window in dst.block_windows(1):
                for number, band in enumerate(bands, 1):
                    dst.write(band.read(1, window=window), number, window=window)
                if _has_mask(first):
                    dst.write_mask(_common_mask(keys, bands, window), window=window)
    return target


def _check(key: str, band: DatasetReader, name: str, first: DatasetReader) -> None:
    if band.count != 1:
        raise BadImageError(
            f"{key}: must be a single band to be stacked, got {band.count}; name it alone"
        )
    facts = _facts(first)
    for what, found in _facts(band).items():
        if str(found) != str(facts[what]):
            raise BadImageError(
                f"{key}: must have the {what} of {name} to be stacked, got {_line(found)} and "
                f"{_line(facts[what])}; name it alone"
            )


def _facts(band: DatasetReader) -> dict[str, object]:
    """Return what must be the same of all bands."""
    points, system = band.gcps
    rpcs = source_rpcs(band)
    return {
        "crs": band.crs,
        "transform": band.transform,
        "shape": band.shape,
        "dtypes": band.dtypes,
        "nodata": band.nodata,
        "ground control points": [(p.row, p.col, p.x, p.y, p.z) for p in points],
        "crs of ground control points": system,
        "RPCs": band.tags(ns="RPC") if rpcs is None else rpcs.to_gdal(),
        "geolocation arrays": band.tags(ns=_GEOLOCATION),
        "mask": "one" if _has_mask(band) else "none",
    }


def _place(band: DatasetReader) -> dict[str, object]:
    points, system = band.gcps
    if points:
        return {"gcps": points, "crs": system}
    return {"transform": band.transform, "crs": band.crs}


def _copy_tags(bands: Sequence[DatasetReader], dst: DatasetWriter) -> None:
    if (rpcs := source_rpcs(bands[0])) is not None:
        dst.rpcs = rpcs
    elif bands[0].tags(ns="RPC"):
        logger.warning(
            "%s: its rational polynomials cannot be read and are not in the result; orthorectify "
            "it first (gdalwarp -rpc)", bands[0].name,
        )  # fmt: skip
    for domain in (None, _GEOLOCATION):
        common = set.intersection(*(set(band.tags(ns=domain).items()) for band in bands))
        dst.update_tags(ns=domain, **dict(sorted(common)))
    if bands[0].gcps[0]:
        # As read; "Point" would shift control points by half a pixel on writing, and on reading.
        dst.update_tags(AREA_OR_POINT="Area")
    for number, band in enumerate(bands, 1):
        dst.update_tags(number, **band.tags(1))


def _has_mask(band: DatasetReader) -> bool:
    """Tell whether a band has a mask of its own, beside what nodata says."""
    return not {MaskFlags.all_valid, MaskFlags.nodata} & set(band.mask_flag_enums[0])


def _common_mask(
    keys: Sequence[str], bands: Sequence[DatasetReader], window: Window
) -> npt.NDArray[np.uint8]:
    masks: list[npt.NDArray[np.uint8]] = [band.read_masks(1, window=window) for band in bands]
    for key, mask in zip(keys, masks, strict=True):
        if not np.array_equal(mask, masks[0]):
            raise BadImageError(
                f"{key}: must have the mask of {keys[0]} to be stacked, got another; name it alone"
            )
    return masks[0]


def _line(value: object) -> str:
    return " ".join(str(value).split())[:120]
