"""Stored results of real scenes, shrunk again, are their inputs: in the mean and pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import torch
from rasterio.windows import Window

from monai_sr import SuperResolver
from monai_sr.functional.resize import resize_to
from tests.image_factory import NORTH_UP, write_raster

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Dataset has no geotransform")]

_SIDE = 48
# Stored values of gray levels 0 and 255.
_RANGES = {"uint8": (0, 255), "uint16": (100, 10000), "int16": (-8000, 17500), "float32": (0, 1)}


def scenes(shared_data):
    """Yield parts of real scenes: gray levels with none that is nodata."""
    places = {
        "satellite/naip/m_4709963_se_14_1_20160816.tif": (300, 300),
        "satellite/landsat/2010.tif": (150, 150),
        "geotiff/RGB.byte.tif": (330, 390),
        "geotiff/world.rgb.tif": (60, 200),
        "geotiff/cogeo.tif": (400, 400),
    }
    chips = sorted((shared_data / "satellite" / "ucmerced" / "test").iterdir())[::7]
    places |= {str(chip.relative_to(shared_data)): (60, 60) for chip in chips}
    for name, (row, column) in places.items():
        with rasterio.open(shared_data / name) as dataset:
            pixels = dataset.read(window=Window(column, row, _SIDE, _SIDE))[:3]
            yield pixels.astype(np.float64), dataset.colorinterp[: len(pixels)]


@pytest.mark.parametrize("dtype", _RANGES)
@pytest.mark.parametrize("scale", [2, 4])
def test_mean_and_values_of_real_scenes_are_kept(shared_data, tmp_path, dtype, scale):
    resolver = SuperResolver.from_bundle("natural_sr", scale=scale, device="cpu")
    low, high = _RANGES[dtype]
    psnr, unclipped = [], 0
    for gray, colors in scenes(shared_data):
        values = gray / 255 * (high - low) + low
        values = (values if dtype == "float32" else np.rint(values)).astype(dtype)
        path = write_raster(tmp_path / "a.tif", values, transform=NORTH_UP, colorinterp=colors)
        result = resolver(path)
        stored = result.numpy().transpose(0, 2, 1).astype(np.float64)
        small = resize_to(torch.from_numpy(stored), [_SIDE, _SIDE], [1, 2]).numpy()
        difference, used = small - values, float(np.ptp(values.astype(np.float64)))
        psnr.append(20 * np.log10(used / np.sqrt((difference**2).mean())))
        storable = result.meta["sr_storable"]
        unit = 1.0 if dtype != "float32" else 1 / 255
        if not ((stored <= storable[0]) | (stored >= storable[1])).any():
            unclipped += 1
            assert abs(stored.mean() - values.astype(np.float64).mean()) <= 0.1 * unit
        off = float((np.abs(difference) > unit).mean())
        # float32 in between: of uint16 and floats a few pixels lie just at one unit.
        assert result.meta["sr_off_share"] == pytest.approx(off, abs=0.01)
    assert unclipped >= 2
    assert np.median(psnr) >= 55
