"""Accessor ``da.sr`` of xarray: enlarges a DataArray of rioxarray, lazily where it is one of Dask.

Values are those of ``monai-sr upscale`` on the GeoTIFF that ``da.rio.to_raster`` would write, bit
for bit. CF conventions 1.11: sections 2.5.1 (missing data), 5.6 (grid mappings), 8.1 (packed data).
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio.dtypes

from monai_sr.core import BadImageError, get_logger, import_extra
from monai_sr.formats import Facts, Grid, result_tags
from monai_sr.geometry import scaled_transform
from monai_sr.integrations.array_dask import enlarged_lazily
from monai_sr.integrations.array_source import ArrayHeader, ArraySource
from monai_sr.integrations.array_tiles import ArrayPlan, Model, enlarged

if TYPE_CHECKING:
    import xarray
    from rasterio.transform import Affine

xr = import_extra("xarray", extra="xarray")
import_extra("rioxarray", extra="xarray")

logger = get_logger(__name__)

_DEFAULT = "satellite_sr"  # what has a place on the Earth is a scene
_PACKED = ("_FillValue", "missing_value", "scale_factor", "add_offset")
_OF_CHUNKS = ("chunksizes", "preferred_chunks", "original_shape", "source", "contiguous", "szip")
_OFF_PX = 0.05  # that a coordinate may be, as those in float32 are


@xr.register_dataarray_accessor("sr")
class SuperResolutionAccessor:
    """Enlarge a raster in a DataArray.

    Args:
        array: (y, x), or with one dimension of bands in any place; with a reference system.
    """

    def __init__(self, array: xarray.DataArray) -> None:
        self._array = array

    def upscale(self, model: str | None = None, **options: Any) -> xarray.DataArray:
        """Return the array enlarged.

        Data type, order of dimensions, names of bands, attributes and encoding stay; transform and
        coordinates follow the new grid, whose outer edges are those of the old one. Values that are
        packed (``scale_factor`` of the encoding) are enlarged as they are stored.

        An array of Dask stays lazy: a chunk of the result is one tile, and rests on a margin around
        it. Where neither 8 bits nor ``range`` declare the range of values, a first pass over the
        whole array, which is part of the computation, finds it. Only a single band of integers, or
        one whose name says that it holds codes or phases, is looked at in the call, for what it is;
        ``kind="intensity"`` spares that.

        Args:
            model: name of a model or bundle; None: that of satellite scenes.
            **options: entries of the bundle's ``inference.yaml``: ``scale=2``, ``spacing=5``,
                ``range=[0, 10000]``, ``nodata=0``, ``kind="label"``, ``device="cuda"``, ...

        Raises:
            BadImageError: the array is no raster with a place, or its values cannot be used.
            OptionError: an option is unknown or does not fit.
            MissingDependencyError: a package of the extra ``xarray`` is missing.
        """
        asked = Model.of(_DEFAULT if model is None else model, options)
        raster = _Raster(self._array)
        resolver = asked.load()
        kind = resolver.scenes.kind if resolver.scenes is not None else "auto"
        plan = ArrayPlan(ArraySource(raster.header(), raster.pixels, kind), asked)
        known = None
        if raster.is_lazy:
            large = enlarged_lazily(plan, raster.pixels)
        else:
            large, known = enlarged(plan, raster.pixels)
        return raster.result(large, plan, plan.provenance(known))


class _Raster:
    """What of an array a raster has: stored values, bands first, and what is said of them.

    Args:
        array: the array.

    Raises:
        BadImageError: it is no raster with a place.
    """

    def __init__(self, array: xarray.DataArray) -> None:
        self.array, self.name = array, str(array.name or "array")
        self.x, self.y, self.band = self._dims()
        self._check_place()
        # As to_raster stores it; what is not packed stays as it is.
        self.is_packed = any(key in array.encoding for key in _PACKED)
        stored = array.variable
        if "_Unsigned" in array.encoding:
            raise BadImageError(
                f"{self.name}: must not be packed as _Unsigned, got that in its encoding; remove "
                "it, with scale and offset: da.drop_encoding()"
            )
        if self.is_packed:
            stored = xr.conventions.encode_cf_variable(stored)
            stored = stored.astype(array.encoding.get("dtype", stored.dtype))
        self._check_dtype(stored.dtype)
        self.stored = stored
        order = (self.y, self.x) if self.band is None else (self.band, self.y, self.x)
        pixels = stored.transpose(*order).data
        self.pixels = pixels[None] if self.band is None else pixels
        self.is_lazy = not isinstance(self.pixels, np.ndarray)

    def _dims(self) -> tuple[Hashable, Hashable, Hashable | None]:
        """Return the names of the dimensions: columns, rows and bands."""
        from rioxarray.exceptions import MissingSpatialDimensionError

        array = self.array
        try:
            x, y = array.rio.x_dim, array.rio.y_dim
        except MissingSpatialDimensionError as error:
            raise BadImageError(
                f"{self.name}: must have dimensions of columns and rows, such as x and y, got "
                f"{', '.join(map(str, array.dims))}; name them with da.rio.set_spatial_dims"
            ) from error
        others = [dim for dim in array.dims if dim not in (x, y)]
        if len(others) > 1:
            raise BadImageError(
                f"{self.name}: must have one dimension beside rows and columns, got "
                f"{', '.join(map(str, others))}; select one of each, as da.isel({others[0]}=0)"
            )
        return x, y, others[0] if others else None

    def _check_place(self) -> None:
        array = self.array
        if 0 in array.shape:
            raise BadImageError(f"{self.name}: must hold pixels, got shape {array.shape}")
        if array.rio.crs is None:
            raise BadImageError(
                f"{self.name}: must have a reference system, got none; write it with "
                "da.rio.write_crs('EPSG:32631')"
            )
        if array.rio.get_gcps():
            raise BadImageError(
                f"{self.name}: must have a transform, got ground control points; warp it first "
                "(gdalwarp), or use monai-sr upscale on its file"
            )
        with warnings.catch_warnings():
            # Of turned grids, which cannot be found by coordinates.
            warnings.filterwarnings("ignore", message="Transform that is non-rectilinear")
            self.transform: Affine = array.rio.transform(recalc=True)
        for dim, at in ((self.x, 0), (self.y, 1)):
            self._check_even(dim, at)

    def _check_even(self, dim: Hashable, axis: int) -> None:
        """Refuse coordinates that are no grid: their ends alone give the transform."""
        if dim not in self.array.coords or self.array.sizes[dim] < 3:
            return
        given = np.asarray(self.array.coords[dim].values, dtype=np.float64)
        even = np.linspace(given[0], given[-1], len(given))
        step = abs(even[1] - even[0])
        if not np.abs(given - even).max() <= _OFF_PX * step:
            raise BadImageError(
                f"{self.name}: coordinates of {dim} must be evenly spaced, got others; resample "
                f"the array to a grid first (da.interp, da.rio.reproject)"
            )

    def _check_dtype(self, dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "iuf" or dtype.name not in rasterio.dtypes.dtype_rev:
            raise BadImageError(
                f"{self.name}: values must be integers or floats that a GeoTIFF holds, got "
                f"{dtype}; convert them, as da.astype('float32')"
            )

    @property
    def nodata(self) -> float | None:
        """Stored value that is no measurement."""
        try:
            attributes = self.stored.attrs
            names = [name for name in ("_FillValue", "missing_value") if name in attributes]
            value = attributes[names[0]] if names else self.array.rio.nodata
        except OverflowError as error:
            raise self._bad_nodata(str(self.array.attrs.get("_FillValue"))) from error
        if value is None:
            return None
        value, dtype = float(np.asarray(value).item()), self.stored.dtype
        limits = np.iinfo(dtype) if dtype.kind in "iu" else None
        most = float(2**53)  # what GeoTIFF declares exactly
        is_held = limits is None or (limits.min <= value <= limits.max and abs(value) <= most)
        if limits and not (is_held and value == int(value)):
            raise self._bad_nodata(f"{value:g}")
        return value

    def _bad_nodata(self, got: str) -> BadImageError:
        return BadImageError(
            f"{self.name}: nodata must be a value of {self.stored.dtype}, got {got}; write another "
            "with da.rio.write_nodata, or convert the array"
        )

    def header(self) -> ArrayHeader:
        """Return what the GeoTIFF that rioxarray writes says beside pixels."""
        count, height, width = self.pixels.shape
        attributes = {**self.array.encoding, **self.array.attrs}
        names: Any = self.array.attrs.get("long_name") or self.array.name or ()
        descriptions = [names] * count if isinstance(names, str) else list(names)
        if descriptions and len(descriptions) != count:
            raise BadImageError(
                f"{self.name}: long_name must name {count} bands, got {len(descriptions)}; correct "
                "da.attrs['long_name']"
            )
        scales, offsets = (
            _of_bands(attributes, several, one, count)
            for several, one in (("scales", "scale_factor"), ("offsets", "add_offset"))
        )
        return ArrayHeader(
            self.name, (count, height, width), np.dtype(self.stored.dtype), self.array.rio.crs,
            self.transform, self.nodata, [str(name) for name in descriptions], scales, offsets,
        )  # fmt: skip

    def result(self, large: Any, plan: ArrayPlan, provenance: str) -> xarray.DataArray:
        """Return the array that enlarged stored values (C, H, W) are."""
        array = self.array
        order = (self.y, self.x) if self.band is None else (self.band, self.y, self.x)
        stored = xr.Variable(order, large[0] if self.band is None else large, self.stored.attrs)
        attributes = self._attributes(plan, provenance)
        if self.nodata is None and plan.named_nodata is not None:
            fill = self.stored.dtype.type(plan.named_nodata)
            (stored.attrs if self.is_packed else attributes)["_FillValue"] = fill
        if self.is_packed:
            for key in {"scale_factor", "add_offset"}.intersection(stored.attrs):
                stored.attrs[key] = array.dtype.type(stored.attrs[key])  # decides on the precision
            stored = xr.conventions.decode_cf_variable(
                self.name, stored, decode_times=False, decode_timedelta=False
            ).astype(array.dtype)
        transform = scaled_transform(self.transform, plan.factors)
        result: xarray.DataArray = xr.DataArray(
            stored.transpose(*array.dims).data,
            dims=array.dims,
            coords=self._coords(transform, plan.shape),
            attrs=attributes,
        )
        result.name = array.name  # which xarray takes from an array of Dask where it is None
        result.encoding = {k: v for k, v in array.encoding.items() if k not in _OF_CHUNKS}
        result.rio.set_spatial_dims(self.x, self.y, inplace=True)
        mapping = array.rio.grid_mapping
        if mapping not in array.coords:
            result.rio.write_crs(array.rio.crs, grid_mapping_name=mapping, inplace=True)
        result.rio.write_transform(transform, grid_mapping_name=mapping, inplace=True)
        return result

    def _coords(self, transform: Affine, shape: tuple[int, int, int]) -> dict[Hashable, Any]:
        """Return the coordinates of the result: those of its grid, and those of no grid."""
        from rioxarray.rioxarray import affine_to_coords

        array, spatial = self.array, {self.x, self.y}
        coords = {
            name: each.variable.copy()
            for name, each in array.coords.items()
            if not spatial.intersection(each.dims)
        }
        grid = affine_to_coords(transform, shape[2], shape[1])
        is_turned = grid["x"].ndim == 2
        for name, dim, values in (("xc", self.x, grid["x"]), ("yc", self.y, grid["y"])):
            given, dims = (name, (self.y, self.x)) if is_turned else (dim, (dim,))
            if given in array.coords:
                coords[given] = xr.Variable(dims, values, array.coords[given].attrs)
        lost = [str(name) for name in array.coords if name not in coords]
        if lost:
            logger.warning(
                "%s: coordinates along rows or columns are left out: %s", self.name, ", ".join(lost)
            )
        return coords

    def _attributes(self, plan: ArrayPlan, provenance: str) -> dict[str, Any]:
        meta = dict(plan.scene.meta)
        Facts(meta).provenance = provenance
        given = {str(key): value for key, value in self.array.attrs.items() if key != "transform"}
        sides = (self.array.sizes[self.x], self.array.sizes[self.y])
        columns, rows = (round(n * s) for n, s in zip(sides, plan.factors, strict=True))
        grid = Grid(plan.factors, (0.0, 0.0), True)
        return result_tags(given, meta, grid, "GTiff", (columns, rows))


def _of_bands(attributes: dict[Any, Any], several: str, one: str, count: int) -> tuple[float, ...]:
    values = attributes.get(several)
    if values is None:
        values = () if attributes.get(one) is None else (attributes[one],) * count
    return tuple(float(value) for value in np.asarray(values).reshape(-1))
