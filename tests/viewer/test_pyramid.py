"""Coarse tiles are blocks of the whole, hide no difference, and are computed once."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import block_reduce

from monai_sr.viewer.pyramid import FIRST, LARGEST, MEAN, TILE, Pyramid, TileId


class Counted:
    """A grid that says how much of it was read."""

    def __init__(self, values):
        self.values, self.shape, self.count = values, values.shape, 0

    def read(self, x, y, z):
        part = self.values[:, x, y, z].copy()
        self.count += part.size
        return part


def grid(shape=(2, 700, 520, 2), seed=0):
    return Counted(np.random.default_rng(seed).normal(0, 100, shape))


def tiles_of(pyramid, level, at):
    """Put all tiles of a level together."""
    sides = [-(-n // (TILE << level)) for n in pyramid.grid.shape[1:3]]
    return np.concatenate(
        [
            np.concatenate([pyramid.tile(TileId(at, level, i, j)) for j in range(sides[1])], axis=2)
            for i in range(sides[0])
        ],
        axis=1,
    )


def test_the_finest_level_is_the_image(tmp_path):
    source = grid()
    pyramid = Pyramid(source, [1], MEAN, tmp_path)
    np.testing.assert_array_equal(tiles_of(pyramid, 0, 1)[0], source.values[1, ..., 1].astype("f4"))


@pytest.mark.parametrize("level", [1, 2])
def test_a_coarse_level_is_the_mean_of_blocks(tmp_path, level):
    source = grid()
    pyramid = Pyramid(source, [0, 1], MEAN, tmp_path)
    assert pyramid.levels == 3
    side = 2**level
    values = source.values[..., 0]
    expected = block_reduce(values, (1, side, side), np.nanmean, cval=np.nan)
    found = tiles_of(pyramid, level, 0)
    # Blocks of an odd edge are means of means: of the last ones other samples weigh more.
    whole = [n // side for n in values.shape[1:]]
    part = (slice(None), slice(whole[0]), slice(whole[1]))
    np.testing.assert_allclose(found[part], expected[part], rtol=1e-4, atol=1e-3)
    assert found.shape == expected.shape


def test_the_largest_difference_of_a_block_shows_with_its_sign(tmp_path):
    source = Counted(np.zeros((1, 600, 300, 1)))
    source.values[0, 599, 299, 0], source.values[0, 100, 100, 0] = -9, 5
    source.values[0, 101, 101, 0] = np.nan
    pyramid = Pyramid(source, [0], LARGEST, tmp_path)
    top = pyramid.tile(TileId(0, 2, 0, 0))
    assert sorted(top[top != 0].tolist()) == [-9, 5]


def test_holes_count_for_no_mean_and_stay_where_all_are(tmp_path):
    source = Counted(np.full((1, 300, 300, 1), 8.0))
    source.values[0, :2, :2], source.values[0, 4, 4] = np.nan, np.nan
    top = Pyramid(source, [0], MEAN, tmp_path).tile(TileId(0, 1, 0, 0))
    assert np.isnan(top[0, 0, 0])
    assert np.isnan(top).sum() == 1
    assert np.nanmin(top) == np.nanmax(top) == 8


def test_codes_are_never_averaged(tmp_path):
    source = Counted(np.random.default_rng(0).integers(0, 9, (1, 512, 300, 1)).astype(float))
    top = Pyramid(source, [0], FIRST, tmp_path).tile(TileId(0, 1, 0, 0))
    np.testing.assert_array_equal(top[0], source.values[0, ::2, ::2, 0])


def test_a_pass_over_a_large_part_is_made_once(tmp_path):
    source = Counted(np.ones((1, 2100, 300, 1)))
    first = Pyramid(source, [0], MEAN, tmp_path)
    first.tile(TileId(0, 4, 0, 0))
    assert source.count == 2100 * 300
    again = Pyramid(source, [0], MEAN, tmp_path)  # as if memory had forgotten it
    assert again.tile(TileId(0, 3, 1, 0)).shape == (1, 7, 38)
    assert source.count == 2100 * 300


@pytest.mark.parametrize(
    "which", [(0, 3, 0, 0), (0, -1, 0, 0), (2, 0, 0, 0), (-1, 0, 0, 0), (0, 0, 3, 0), (0, 0, 0, -1)]
)
def test_what_lies_outside_is_no_tile(tmp_path, which):
    pyramid = Pyramid(grid(), [0], MEAN, tmp_path)
    assert pyramid.holds(TileId(0, 0, 2, 2))
    assert not pyramid.holds(TileId(*which))
