"""Tiles of one color are enlarged once."""

import numpy as np
import pytest
import torch

from monai_sr.inferers.tile_plan import TileGrid
from monai_sr.upscaling.scene_blocks import AlikeTiles

GRID = TileGrid((64, 64), (256, 256), 4, 3)
TILES = GRID.tiles(16)
INNER, OTHER, CORNER = TILES[5], TILES[6], TILES[0]


def unit(tile, value=0.5):
    return torch.full((1, 2, *(o.stop - o.start for o in tile.outer)), value)


def test_a_tile_of_the_same_color_and_place_within_has_the_same_result():
    alike, stored = AlikeTiles(GRID), np.ones((2, 64, 64), np.uint8)
    key, known = alike.find(INNER, unit(INNER))
    assert key is not None
    assert known is None
    alike.keep(key, stored)
    found, known = alike.find(OTHER, unit(OTHER))
    assert found == key
    assert known is stored
    for tile, value in ((CORNER, 0.5), (OTHER, 0.25)):
        other, known = alike.find(tile, unit(tile, value))
        assert other != key
        assert known is None


@pytest.mark.parametrize("kind", ["none", "two colors", "resampled"])
def test_other_tiles_are_not_compared(kind):
    grid = TileGrid((64, 64), (250, 256), 4, 3) if kind == "resampled" else GRID
    given = unit(INNER)
    if kind == "two colors":
        given[0, 1, 3, 4] = 0.6
    alike = AlikeTiles(grid)
    assert alike.find(INNER, None if kind == "none" else given) == (None, None)
    alike.keep(None, np.zeros(1))
    assert alike.find(INNER, None) == (None, None)


def test_the_oldest_are_forgotten():
    alike = AlikeTiles(GRID)
    keys = [alike.find(INNER, unit(INNER, i / 10))[0] for i in range(9)]
    for i, key in enumerate(keys):
        alike.keep(key, np.full(1, i))
    assert alike.find(INNER, unit(INNER, 0.0))[1] is None
    assert alike.find(INNER, unit(INNER, 0.1))[1] is not None
