"""Codes that are enlarged in windows say beside the result what GeoTIFF cannot hold."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS

from tests.image_factory import ROTATED_POLE
from tests.scene_factory import in_windows, network, write_scene


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "b.tif"), ({"cog": True}, "b.tif"), ({"window": (0, 0, 9, 9)}, "b_at_0_0_9_9.tif")],
)
def test_names_of_codes_lie_beside_their_windows(options, name, tmp_path):
    array = np.kron(np.arange(20).reshape(1, 4, 5) % 3, np.ones((9, 9))).astype(np.uint8)
    source = write_scene(tmp_path / "a.tif", array=array, crs=CRS.from_wkt(ROTATED_POLE))
    pam = tmp_path / "a.tif.aux.xml"
    names = "<CategoryNames><Category>a</Category><Category>b</Category></CategoryNames>"
    pam.write_text(
        pam.read_text().replace(
            "</PAMDataset>", f'<PAMRasterBand band="1">{names}</PAMRasterBand></PAMDataset>'
        )
    )
    in_windows(source, tmp_path / "out" / "b.tif", network(1), 2, kind="auto", **options)
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == [name, f"{name}.aux.xml"]
    assert "<Category>b</Category>" in (tmp_path / "out" / found[1]).read_text()
    with rasterio.open(source) as src, rasterio.open(tmp_path / "out" / name) as dst:
        assert dst.crs == src.crs
    hidden = {**options, "deidentify": True}
    in_windows(source, tmp_path / "out" / "b.tif", network(1), 2, kind="auto", **hidden)
    assert "Category" not in (tmp_path / "out" / found[1]).read_text()
