"""Enlarges a raster both ways, whole in memory and in windows, with one tiny generator."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from monai.data import MetaTensor
from rasterio.errors import NotGeoreferencedWarning
from torch import nn

from monai_sr.inferers import TiledInferer
from monai_sr.transforms import (
    PlanGrid,
    Provenance,
    RestoreStoredd,
    SaveImageSRd,
    ScaleToUnitd,
    load_image,
)
from monai_sr.upscaling.scene import Scenes
from monai_sr.upscaling.scene_job import SceneResult
from tests.image_factory import NORTH_UP, write_raster
from tests.network_factory import tiny

TILE = 20


def scenes(scale: float = 4, value_range: Any = None, **options: Any) -> Scenes:
    """Build the object of the bundles."""
    made_by = Provenance("natural_sr", None, scale, 2)
    options = {"kind": "intensity", **options}  # as load_image, what in_memory does
    return Scenes(PlanGrid(scale), value_range=value_range, provenance=made_by, **options)


def in_windows(
    source: Path, output: Path, network: nn.Module, scale: float = 4, **options: Any
) -> SceneResult:
    """Enlarge a raster in windows."""
    inferer = TiledInferer(scale, tile_size=options.pop("tile_size", TILE))
    return scenes(scale, **options).upscale(source, output, network, inferer)


def in_memory(
    source: Path, output: Path, network: nn.Module, scale: float = 4, value_range: Any = None
) -> MetaTensor:
    """Enlarge a raster as a whole."""
    image = PlanGrid(scale)(load_image(source))
    sample = ScaleToUnitd("image", value_range)({"image": image, "output": str(output)})
    sample["pred"] = TiledInferer(scale, tile_size=TILE)(sample["image"][None], network)[0]
    restore = RestoreStoredd("pred", Provenance("natural_sr", None, scale, 2))
    result = SaveImageSRd("pred", output.parent)(restore(sample))["pred"]
    assert isinstance(result, MetaTensor)
    return result


def contents(path: Path) -> dict[str, Any]:
    """Return all that a raster says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(path)
    with dataset as dst:
        return {
            "pixels": dst.read(),
            "mask": dst.dataset_mask(),
            "tags": dst.tags(),
            "band_tags": [dst.tags(band) for band in dst.indexes],
            "transform": tuple(dst.transform),
            "gcps": [(p.row, p.col, p.x, p.y) for p in dst.gcps[0]],
            "rpcs": dst.rpcs.to_dict() if dst.rpcs else None,
            "crs": dst.crs,
            "nodata": str(dst.nodata),
            "colors": dst.colorinterp,
            "names": dst.descriptions,
            "scales": (dst.scales, dst.offsets, dst.units),
            "overviews": dst.overviews(1),
            "driver": dst.driver,
        }


def assert_alike(first: Path, second: Path, **changed: Any) -> None:
    """Compare everything that two rasters say, but for what is changed on purpose."""
    a, b = contents(first), contents(second)
    b.update(changed)
    for key in ("pixels", "mask"):
        np.testing.assert_array_equal(a.pop(key), b.pop(key))
    # The whole's transform comes from an affine of centers: it may differ by rounding.
    assert a.pop("transform") == pytest.approx(b.pop("transform"), rel=1e-12, abs=1e-9)
    assert a == b


def smooth(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> np.ndarray[Any, Any]:
    """Draw pixels (C, H, W) that networks enlarge well, over half of the range of the dtype."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(shape[1]) / 5)[:, None] * np.cos(np.arange(shape[2]) / 7)
    values = 0.5 + 0.2 * waves + 0.1 * rng.random(shape)
    if np.dtype(dtype).kind == "f":
        return ((values - 0.3) * 1000).astype(dtype)
    limits = np.iinfo(dtype)
    return (limits.min / 2 + values * (limits.max / 2 - limits.min / 2)).astype(dtype)


def write_scene(path: Path, shape: tuple[int, int, int] = (1, 41, 57), **options: Any) -> Path:
    """Write a raster of four by five tiles."""
    array = options.pop("array", None)
    array = smooth(shape, options.pop("dtype", "uint8")) if array is None else array
    return write_raster(path, array, **{"crs": "EPSG:32614", "transform": NORTH_UP, **options})


def network(channels: int = 1) -> nn.Module:
    """Build the generator that both ways use."""
    return tiny(channels)
