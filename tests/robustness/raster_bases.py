"""Small rasters of every kind, written by GDAL, to be damaged; and a way into their TIFF tags."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC

from monai_sr.formats.raster.bands import premultiplied
from tests.image_factory import ROTATED, pixels, write_raster

UTM = {"crs": "EPSG:32633", "transform": ROTATED}
SHAPE = (70, 50)
# TIFF 6.0, section 2: bytes of each field type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
_CODES = {3: "H", 4: "L", 12: "d", 16: "Q"}


def _smooth(bands: int, dtype: str) -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    values = [60 + 50 * np.sin((rows + 3 * b) / 9) * np.cos(columns / 7) for b in range(bands)]
    return np.array(values).astype(dtype)


def _palette(path: Path) -> None:
    colors = {i: (i, 255 - i, 7 * i % 256, 255) for i in range(256)}
    write_raster(path, _smooth(1, "uint8"), colormap=colors, photometric="palette", **UTM)


def _mask(path: Path) -> None:
    write_raster(path, _smooth(3, "uint8"), **UTM)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dst:
        dst.write_mask(pixels(SHAPE) > 40)
    with rasterio.open(path, "r+") as dst:
        dst.build_overviews([2, 4])


def _points(path: Path) -> None:
    corners = [(0, 0), (0, 50), (70, 0), (70, 50)]
    points = [GroundControlPoint(r, c, 5e5 + 30 * c, 4e6 - 30 * r) for r, c in corners]
    coefficients = [1.0, *[0.0] * 19]
    rpcs = RPC(
        height_off=0, height_scale=1, lat_off=0, lat_scale=1, long_off=0, long_scale=1,
        line_off=35, line_scale=35, samp_off=25, samp_scale=25, err_bias=0.5, err_rand=0.5,
        line_den_coeff=coefficients, line_num_coeff=coefficients,
        samp_den_coeff=coefficients, samp_num_coeff=coefficients,
    )  # fmt: skip
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=70, width=50, dtype="int16",
        gcps=points, crs="EPSG:32633", rpcs=rpcs,
    ) as dst:  # fmt: skip
        dst.write(_smooth(1, "int16"))


def _alpha(path: Path) -> None:
    straight = np.concatenate([_smooth(3, "uint8"), pixels((1, *SHAPE))])
    straight[3, :20] = 0
    write_raster(path, premultiplied(straight, 3, 8), photometric="RGB", alpha="PREMULTIPLIED",
                 **UTM)  # fmt: skip


def _nodata(path: Path) -> None:
    array = _smooth(2, "float32")
    array[:, :9] = -9999
    array[0, 30, 30] = np.nan
    write_raster(path, array, nodata=-9999, compress="deflate", predictor=3, **UTM)


_TILED = {"tiled": True, "blockxsize": 32, "blockysize": 32}
MAKERS: dict[str, Callable[[Path], Any]] = {
    "strips.tif": lambda p: write_raster(p, _smooth(3, "uint8"), blockysize=16, **UTM),
    "tiles.tif": lambda p: write_raster(
        p, _smooth(2, "uint16"), compress="deflate", predictor=2, **_TILED, **UTM
    ),
    "lzw.tif": lambda p: write_raster(p, _smooth(4, "int16"), compress="lzw", **UTM),
    "jpeg.tif": lambda p: write_raster(
        p, _smooth(3, "uint8"), compress="jpeg", photometric="ycbcr", **_TILED, **UTM
    ),
    "bands.tif": lambda p: write_raster(
        p, _smooth(20, "uint8"), interleave="band", compress="packbits", **UTM
    ),
    "big.tif": lambda p: write_raster(p, _smooth(1, "float64"), bigtiff="YES", **UTM),
    "zstd.tif": lambda p: write_raster(p, _smooth(2, "uint32"), compress="zstd", **_TILED, **UTM),
    "cog.tif": lambda p: write_raster(p, _smooth(3, "uint8"), driver="COG", **UTM),
    "palette.tif": _palette,
    "mask.tif": _mask,
    "points.tif": _points,
    "alpha.tif": _alpha,
    "nodata.tif": _nodata,
    "wavelet.jp2": lambda p: write_raster(
        p, _smooth(3, "uint8"), driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", **UTM
    ),
    "envi.dat": lambda p: write_raster(p, _smooth(3, "int16"), driver="ENVI", **UTM),
    "erdas.img": lambda p: write_raster(p, _smooth(3, "uint16"), driver="HFA", **UTM),
    "world.png": lambda p: write_raster(p, _smooth(3, "uint8")),
}


@cache
def base(name: str) -> dict[str, bytes]:
    """Return the files that make one raster, its own first."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        MAKERS[name](Path(folder) / name)
        if name == "world.png":
            (Path(folder) / "world.pgw").write_text("30\n0\n0\n-30\n500015\n4599985\n")
        files = sorted(Path(folder).iterdir(), key=lambda path: path.name != name)
        return {path.name: path.read_bytes() for path in files}


def entries(content: bytes) -> dict[int, tuple[int, int, int, int]]:
    """Find the tags of the first directory of a classic little-endian TIFF.

    Returns:
        tag -> position of its entry, field type, count, position of its values.
    """
    (start,) = struct.unpack_from("<L", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    found = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from("<HHL", content, at)
        is_inside = _SIZES[kind] * number <= 4
        place = at + 8 if is_inside else struct.unpack_from("<L", content, at + 8)[0]
        found[tag] = at, kind, number, place
    return found


def with_tag(content: bytes, tag: int, value: Any) -> bytes:
    """Give all values of a tag a number, or its beginning other bytes.

    ("type", n) and ("count", n) change the entry itself, ("tag", n) its number, ("long", n) its
    type and value; what the file has not stays away.
    """
    changed, found = bytearray(content), entries(content)
    if tag not in found:
        return content
    at, kind, number, place = found[tag]
    if isinstance(value, tuple):
        field, other = value
        if field == "long":
            struct.pack_into("<HLL", changed, at + 2, 4, 1, other)
            return bytes(changed)
        where = {"tag": at, "type": at + 2, "count": at + 4, "values": at + 8}[field]
        struct.pack_into("<H" if field in ("tag", "type") else "<L", changed, where, other)
    elif isinstance(value, bytes):
        changed[place : place + len(value)] = value
    else:
        size, code = _SIZES[kind], _CODES[kind]
        most = 2 ** (8 * size) - 1
        for index in range(number):
            struct.pack_into(f"<{code}", changed, place + size * index, min(value, most))
    return bytes(changed)
