"""Bands of directions and phases begin anew, each after its own turn."""

from __future__ import annotations

import numpy as np
import pytest

from monai_sr.formats.raster.source import RasterSource
from tests.formats.raster.test_meaning_codes import ASPECT, kind
from tests.image_factory import NORTH_UP, pixels, write_raster


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_aspect_of_flat_places_keeps_its_values(tmp_path, dtype):
    flat = np.where(ASPECT < 30, -1, ASPECT).astype(dtype)
    assert kind(write_raster(tmp_path / "aspect.tif", flat, transform=NORTH_UP)) == "label"
    flat[:] = np.where(ASPECT < 30, -1, ASPECT / 9)
    assert kind(write_raster(tmp_path / "aspect.tif", flat, transform=NORTH_UP)) == "gray"


@pytest.mark.parametrize("name", ["aspect", ""])
def test_directions_among_other_bands_keep_their_values(tmp_path, name, caplog):
    slope = pixels(ASPECT.shape, "float32")
    both = np.concatenate([slope, ASPECT.astype("f4")])
    path = write_raster(tmp_path / "a.tif", both, transform=NORTH_UP, descriptions=("slope", name))
    with RasterSource(path, "auto") as source:
        assert (source.meaning.kind, source.meaning.bands) == ("gray", (1,))
    assert "codes and directions" in source.meaning.reason
    assert not caplog.text


@pytest.mark.parametrize(("factor", "expected"), [(1, "phase"), (np.pi / 180, "label")])
@pytest.mark.parametrize("names", [("wind direction", "wave direction"), ("", "")])
def test_bands_of_directions_have_one_turn_or_keep_their_values(tmp_path, factor, expected, names):
    both = np.concatenate([ASPECT, ASPECT[:, ::-1] * factor]).astype("f4")
    path = write_raster(tmp_path / "a.tif", both, transform=NORTH_UP, descriptions=names)
    assert kind(path) == expected
