"""NaN that no header declares stays NaN in scenes, also where a whole window holds nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from monai_sr import FileUpscaler


@pytest.mark.parametrize("nodata", [None, -9999.0])
def test_a_window_of_nothing_but_nan_is_that_of_the_whole_in_memory(tmp_path: Path, nodata) -> None:
    values = np.random.default_rng(0).random((1, 700, 20), dtype="float32")
    values[:, 480:] = np.nan  # the windows that are written have 1024 rows of the result
    place = from_origin(5e5, 4e6, 10, 10)
    with rasterio.open(
        tmp_path / "scene.tif", "w", driver="GTiff", count=1, height=700, width=20,
        dtype="float32", crs="EPSG:32631", transform=place, nodata=nodata,
    ) as scene:  # fmt: skip
        scene.write(values)
    results = []
    for limit in (64, 0):
        upscaler = FileUpscaler("bicubic", scale=2, device="cpu", tile_size=32, scene_limit=limit)
        result = upscaler(tmp_path / "scene.tif", tmp_path / str(limit))
        with rasterio.open(result.output) as large:
            results.append(large.read())
    assert np.isnan(results[0][:, 960:]).all()
    np.testing.assert_array_equal(results[1], results[0])
