"""Writes the item of enlarged assets: where they lie, what they hold and what they derive from.

STAC 1.1.0 with the extensions projection 2.0.0, raster 2.0.0, file 2.1.0 (checksums as multihash)
and processing 1.2.0, https://stac-extensions.github.io. ``gsd`` stays: it is a property of the
sensor, and enlarging measures nothing. The size of pixels is ``raster:spatial_resolution``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from monai_sr.catalogs.stac_place import Outline, joined, outline_of
from monai_sr.core import atomic_file, file_sha256, ignored_warnings, import_extra
from monai_sr.core.version import __version__
from monai_sr.formats import BITS, LABEL, open_raster, uncertainty_path
from monai_sr.upscaling import Manifest

_SCHEMA = "https://stac-extensions.github.io/{}/schema.json"
_WRITTEN = ("projection/v2.0.0", "raster/v2.0.0", "file/v2.1.0", "processing/v1.2.0")
_PREFIXES = {"projection": "proj", "scientific": "sci"}
# Of the source's files, grid and making; ours say it anew.
_OTHERS = ("proj:", "raster:", "file:", "processing:", "cube:", "storage:", "table:")
_LEFT_OUT = (
    "datetime", "created", "updated", "renders", "bands", "statistics",
    "sar:pixel_spacing_range", "sar:pixel_spacing_azimuth",
)  # fmt: skip
# What holds for a band however large its pixels are.
_OF_BANDS = (
    "name", "description", "unit", "eo:common_name", "eo:center_wavelength",
    "eo:full_width_half_max", "eo:solar_illumination",
)  # fmt: skip
_OF_CODES = {"classification:classes": LABEL, "classification:bitfields": BITS}
_OF_ALL = (*_OF_BANDS, *_OF_CODES, "nodata")
_OLD_BANDS = {
    "eo:bands": {
        "common_name": "eo:common_name", "center_wavelength": "eo:center_wavelength",
        "full_width_half_max": "eo:full_width_half_max",
        "solar_illumination": "eo:solar_illumination",
    },
    "raster:bands": {"scale": "raster:scale", "offset": "raster:offset"},
}  # fmt: skip
_KEPT_LINKS = ("license", "cite-as")
_SHA256 = "1220"  # multihash: function and length, https://multiformats.io/multihash
_TAG = "SUPER_RESOLUTION"
_SPECIAL = {"nan": "nan", "inf": "inf", "-inf": "-inf"}


@dataclass(frozen=True)
class AssetResult:
    """A result of one asset, or of several that were stacked.

    Attributes:
        keys: of the source's assets.
        output: the file.
        folder: which holds the manifest of its run.
    """

    keys: tuple[str, ...]
    output: Path
    folder: Path


def written_item(
    source: Any, origin: Path | str, results: Sequence[AssetResult], path: Path
) -> Path:
    """Write the item of some results.

    Args:
        source: ``pystac.Item`` that they were made of.
        origin: its file, or its address to be shown.
        results: at least one.
        path: of the new item.

    Raises:
        OutputError: it cannot be written.
    """
    pystac = import_extra("pystac", extra="stac")
    assets: dict[str, Any] = {}
    outlines = []
    for result in results:
        key = "-".join(result.keys)
        with ignored_warnings(NotGeoreferencedWarning), open_raster(result.output) as dataset:
            assets[key] = _asset(source, result, dataset, path.parent)
            outlines.append(outline_of(dataset))
            map_file = uncertainty_path(result.output)
            if map_file.exists():
                bands = _map_bands(assets[key]["bands"], dataset)
                assets[f"{key}_uncertainty"] = _map_asset(map_file, path.parent, bands)
    geometry, bbox = _extent(source, outlines)
    item = pystac.Item(path.stem, geometry, bbox, source.datetime, _properties(source))
    for key, asset in assets.items():
        item.add_asset(key, pystac.Asset.from_dict(asset))
    item.stac_extensions = _extensions(source, item.to_dict(include_self_link=False))
    _link(pystac, item, source, origin, path)
    content = item.to_dict(include_self_link=False, transform_hrefs=False)
    with atomic_file(path) as partial:
        partial.write_text(f"{json.dumps(content, indent=2)}\n", encoding="utf-8")
    return path


def _properties(source: Any) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in source.properties.items()
        if not key.startswith(_OTHERS) and key not in _LEFT_OUT
    }
    lineage = (
        "Enlarged by single-image super-resolution: pixels are smaller, detail beyond the measured "
        f"resolution is estimated. Derived from {source.id}."
    )
    return {
        **kept,
        "processing:lineage": lineage,
        "processing:software": {"monai-sr": __version__},
    }


def _asset(source: Any, result: AssetResult, dataset: DatasetReader, home: Path) -> dict[str, Any]:
    media_type = import_extra("rio_stac.stac", extra="stac").get_media_type
    origins = [source.assets[key] for key in result.keys]
    kind = str(media_type(dataset).value)
    if dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG":
        kind += "; profile=cloud-optimized"
    titles = " + ".join(str(o.title or key) for o, key in zip(origins, result.keys, strict=True))
    made = json.loads(dataset.tags().get(_TAG, "{}"))
    asset = {
        "href": f"./{result.output.relative_to(home).as_posix()}",
        "type": kind,
        "title": f"{titles}, enlarged",
        "roles": list(dict.fromkeys(role for o in origins for role in (o.roles or ["data"]))),
        **_made(made, result),
        **_projection(dataset),
        **_file_facts(result.output),
        "bands": _bands(origins, dataset, are_codes=_has_codes(made, result)),
    }
    if (side := _meters(dataset)) is not None:
        asset["raster:spatial_resolution"] = side
    gsd = {o.extra_fields["gsd"] for o in origins if "gsd" in o.extra_fields}
    return {**asset, **({"gsd": gsd.pop()} if len(gsd) == 1 else {})}


def _has_codes(made: dict[str, Any], result: AssetResult) -> bool:
    """Tell whether bands that the source's item says to be codes still are."""
    return "resampling" in made or (len(result.keys) > 1 and "kind" not in made)


def _made(made: dict[str, Any], result: AssetResult) -> dict[str, Any]:
    """Return by what an asset was made, and how well it agrees with the measured one."""
    fields = {
        "monai_sr:model": made.get("bundle"),
        "monai_sr:weights_sha256": made.get("weights_sha256"),
        "monai_sr:scale": made.get("scale"),
    }
    row = Manifest(result.folder).results().get(result.output, {})
    for field, column in (("lr_psnr", "lr_psnr"), ("off_by_one_share", "off_by_one_share")):
        value = float(row.get(column) or "nan")
        fields[f"monai_sr:{field}"] = value if math.isfinite(value) else None
    return {key: value for key, value in fields.items() if value is not None}


def _file_facts(path: Path) -> dict[str, Any]:
    return {"file:checksum": f"{_SHA256}{file_sha256(path)}", "file:size": path.stat().st_size}


def _map_asset(path: Path, home: Path, bands: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "href": f"./{path.relative_to(home).as_posix()}",
        "type": "image/tiff; application=geotiff",
        "title": "Half width of the 90 % interval, in the units of the values after rescaling",
        "roles": ["uncertainty"],
        "bands": bands,
        **_file_facts(path),
    }


def _map_bands(bands: Sequence[dict[str, Any]], dataset: DatasetReader) -> list[dict[str, Any]]:
    """Return what is said of a map: a scale that the item alone knows is not in its values."""
    found = []
    for band, scale in zip(bands, dataset.scales, strict=True):
        facts: dict[str, Any] = {key: band[key] for key in ("name", "unit") if key in band}
        facts |= {"data_type": "float32", "nodata": "nan"}
        if scale == 1 and isinstance(said := band.get("raster:scale"), int | float):
            facts["raster:scale"] = abs(said)
        found.append(facts)
    return found


def _projection(dataset: DatasetReader) -> dict[str, Any]:
    crs = dataset.crs
    if crs is None:
        return {}
    code = ":".join(crs.to_authority() or ()) if crs.is_epsg_code else None
    found: dict[str, Any] = {"proj:code": code or None}
    if not code:
        found["proj:wkt2"] = crs.to_wkt(version="WKT2_2019")
    return {
        **found,
        "proj:shape": [dataset.height, dataset.width],
        "proj:transform": list(dataset.transform)[:6],
        "proj:bbox": _bounds(dataset),
    }


def _bounds(dataset: DatasetReader) -> list[float]:
    """Return the smallest and largest x and y of a raster: left, bottom, right, top."""
    edges = (0, dataset.width), (0, dataset.height)
    corners = [dataset.transform * (column, row) for column in edges[0] for row in edges[1]]
    return [float(pick(each)) for pick in (min, max) for each in zip(*corners, strict=True)]


def _meters(dataset: DatasetReader) -> float | None:
    """Return the mean side of a pixel; None where it has none in meters."""
    crs = dataset.crs
    if crs is None or not crs.is_projected:
        return None
    t = dataset.transform
    side = math.sqrt(abs(t.a * t.e - t.b * t.d)) * float(crs.linear_units_factor[1])
    return round(side, 6)


def _bands(
    origins: Sequence[Any], dataset: DatasetReader, *, are_codes: bool
) -> list[dict[str, Any]]:
    """Return what is said of each band: as the source's item does, and as the file is."""
    said = [band for origin in origins for band in said_of_bands(origin)]
    if len(said) != dataset.count:
        said = [{} for _ in dataset.indexes]
    kept = (*_OF_BANDS, *_OF_CODES) if are_codes else _OF_BANDS
    found = []
    for number, band in zip(dataset.indexes, said, strict=True):
        facts: dict[str, Any] = {
            "name": dataset.descriptions[number - 1] or f"b{number}",
            **{key: band[key] for key in kept if key in band},
            "data_type": dataset.dtypes[number - 1],
        }
        nodata = dataset.nodatavals[number - 1]
        if nodata is None and dataset.dtypes[number - 1].startswith("float"):
            # NaN is no measurement whether or not a file declares it.
            nodata = math.nan if band.get("nodata") == "nan" else None
        if nodata is not None:
            facts["nodata"] = _SPECIAL.get(str(float(nodata)), nodata)
        if unit := dataset.units[number - 1]:
            facts["unit"] = unit
        scale, offset = dataset.scales[number - 1], dataset.offsets[number - 1]
        for key, value, of_file in (("scale", scale, 1.0), ("offset", offset, 0.0)):
            value = band.get(f"raster:{key}", value) if value == of_file else value
            if value != of_file:
                facts[f"raster:{key}"] = value
        found.append(facts)
    return found


def codes_of(asset: Any) -> str:
    """Return what kind of codes an item says that all bands of an asset are, "" for none."""
    (kind, *others) = {
        next((kind for key, kind in _OF_CODES.items() if _has_classes(band.get(key))), "")
        for band in said_of_bands(asset)
    }
    return "" if others else kind


def _has_classes(said: Any) -> bool:
    """Tell whether classes, or bit fields, are more than names of nodata values beside amounts."""
    return not all(isinstance(each, dict) and each.get("nodata") for each in said or ())


def said_of_bands(asset: Any) -> list[dict[str, Any]]:
    """Return what an item says of the bands of an asset: a single one may be said by the asset.

    Before STAC 1.1 extensions had a list of bands each.
    """
    fields = asset.extra_fields
    own = {k: v for k, v in fields.items() if k in _OF_ALL or k.startswith("raster:")}
    lists = [fields.get("bands") or []]
    lists += [
        [{names.get(k, k): v for k, v in band.items()} for band in fields.get(key) or []]
        for key, names in _OLD_BANDS.items()
    ]
    count = max(map(len, lists)) or 1
    bands = [dict(own) for _ in range(count)]
    for each in (each for each in lists if len(each) == count):
        for band, more in zip(bands, each, strict=True):
            band.update(more)
    return bands


def _extent(source: Any, outlines: Sequence[Outline | None]) -> tuple[Any, Any]:
    """Return geometry and bbox of all assets; the source's where one has no place on the Earth."""
    known = [outline for outline in outlines if outline is not None]
    if len(known) < len(outlines):
        return source.geometry, source.bbox
    whole = joined(known)
    return whole.geometry, whole.bbox


def _extensions(source: Any, content: dict[str, Any]) -> list[str]:
    """Return the schemas of ours, and of the source's those whose fields are still there."""
    names = _names_in([content["properties"], content["assets"]])
    written = {each.partition("/")[0] for each in _WRITTEN}
    kept = []
    for url in source.stac_extensions:
        parts = url.split("/")
        name = parts[-3] if len(parts) > 3 else ""
        if name not in written and _PREFIXES.get(name, name) in names:
            kept.append(url)
    return [*map(_SCHEMA.format, _WRITTEN), *kept]


def _names_in(content: Any) -> set[str]:
    """Return the prefixes of all fields."""
    if isinstance(content, dict):
        own = {key.partition(":")[0] for key in content if ":" in key}
        return own.union(*map(_names_in, content.values()))
    return set().union(*map(_names_in, content)) if isinstance(content, list) else set()


def _link(pystac: Any, item: Any, source: Any, origin: Path | str, path: Path) -> None:
    target = origin
    if isinstance(origin, Path):
        target = Path(os.path.relpath(os.path.abspath(origin), os.path.abspath(path.parent)))
        target = target.as_posix()
    item.add_link(pystac.Link("derived_from", target, "application/geo+json", source.id))
    for link in source.links:
        if link.rel in _KEPT_LINKS and "://" in str(link.target):
            item.add_link(pystac.Link(link.rel, str(link.target), link.media_type, link.title))
