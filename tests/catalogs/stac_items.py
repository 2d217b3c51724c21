"""Writes a STAC item of a small scene with its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pystac
import rasterio

from tests.scene_factory import write_scene

GRID: dict[str, Any] = {
    "crs": "EPSG:32631",
    "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5.8e6),
}
BANDS = {"B04": "red", "B03": "green", "B02": "blue"}


def write_item(folder: Path, **changes: Any) -> Path:
    """Write an item of STAC 1.0 with three bands, a picture and its files."""
    folder.mkdir(exist_ok=True, parents=True)
    assets: dict[str, Any] = {}
    for seed, (key, color) in enumerate(BANDS.items()):
        write_scene(folder / f"{key}.tif", (1, 40, 30), dtype="uint16", driver="COG", nodata=0,
                    **GRID)  # fmt: skip
        assets[key] = {
            "href": f"./{key}.tif", "type": pystac.MediaType.COG, "title": f"Band {seed}",
            "roles": ["data", "reflectance"], "gsd": 10,
            "eo:bands": [{"name": key, "common_name": color}],
            "raster:bands": [{"data_type": "uint16", "scale": 0.0001, "offset": -0.1,
                              "spatial_resolution": 10, "unit": "1"}],
            "file:size": 1, "proj:shape": [40, 30],
        }  # fmt: skip
    assets["preview"] = {"href": "./preview.jpg", "type": "image/jpeg", "roles": ["overview"]}
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "S2A_31UFT",
        "stac_extensions": [
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/mgrs/v1.0.0/schema.json",
            "https://stac-extensions.github.io/view/v1.0.0/schema.json",
        ],
        "geometry": {"type": "Polygon", "coordinates": [[[3, 52], [4, 52], [4, 53], [3, 52]]]},
        "bbox": [3, 52, 4, 53], "collection": "s2",
        "properties": {
            "datetime": "2026-06-01T10:00:00Z", "created": "2026-06-02T10:00:00Z",
            "platform": "sentinel-2a", "gsd": 10, "eo:cloud_cover": 3.5, "proj:epsg": 32631,
            "mgrs:utm_zone": 31, "mgrs:latitude_band": "U", "mgrs:grid_square": "FT",
            "processing:level": "L2A",
        },
        "links": [
            {"rel": "self", "href": "https://host/items/S2A_31UFT.json"},
            {"rel": "license", "href": "https://host/license"},
        ],
        "assets": assets, **changes,
    }  # fmt: skip
    (folder / "item.json").write_text(json.dumps(item))
    return folder / "item.json"
