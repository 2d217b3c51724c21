"""Tiles cover the result once, and see all that it depends on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.functional.resize import resize_part, resize_to
from monai_sr.inferers import TiledInferer
from monai_sr.inferers.tile_plan import TileGrid, result_edge
from tests.network_factory import tiny


@pytest.mark.parametrize("targets", [(148, 92), (93, 58), (37, 41)])
@pytest.mark.parametrize("tile_size", [1, 7, 100])
def test_tiles_cover_every_sample_once(targets, tile_size):
    grid = TileGrid((37, 23), targets, 4, halo=3, step=2)
    covered = np.zeros(targets, dtype=int)
    for tile in grid.tiles(tile_size):
        covered[tile.place] += 1
        assert tile.side <= tile_size + 6  # what is resampled needs some samples more
        for core, outer, size in zip(tile.core, tile.outer, grid.sizes, strict=True):
            assert outer.start == max(0, core.start - 3) // 2 * 2
            assert outer.stop == min(size, core.stop + 3)
    assert (covered == 1).all()


def test_halves_cover_a_tile_once():
    grid = TileGrid((9, 5), (36, 20), 4, halo=1)
    (whole,) = grid.tiles(10)
    covered = np.zeros((36, 20), dtype=int)
    for half in grid.halves(whole):
        covered[half.place] += 1
    assert (covered == 1).all()


def test_edges_of_a_whole_factor_are_exact():
    assert [result_edge(e, 2**20 + 1, 4 * (2**20 + 1)) for e in (0, 1, 2**20 + 1)] == [
        0, 4, 2**22 + 4,
    ]  # fmt: skip


@pytest.mark.parametrize("target", [29, 64, 75, 200])
def test_a_part_is_resized_as_within_the_whole(target):
    image = torch.rand(2, 64, 50, dtype=torch.float64)
    whole = resize_to(image, (target, 50))
    for start, stop in [(0, 5), (11, 23), (target - 6, target), (0, target)]:
        grid = TileGrid((64, 50), (target, 50), 1, halo=0)
        tile = grid.tile((slice(start, stop), slice(4, 9)))
        part = resize_part(
            image[:, tile.fine[0], tile.fine[1]], (64, 50), (target, 50), [(start, stop), (4, 9)]
        )
        torch.testing.assert_close(part, whole[:, start:stop, 4:9], rtol=0, atol=1e-12)


class ShortOfMemory(torch.nn.Module):
    """A generator on a device where only inputs of some size fit."""

    def __init__(self, largest):
        super().__init__()
        self.inner, self.largest, self.seen = tiny(), largest, []
        for name in ("info", "scales", "scale", "halo", "in_channels", "spatial_dims"):
            setattr(self, name, getattr(self.inner, name))

    def forward(self, image, scale):
        self.seen.append(max(image.shape[2:]))
        if self.seen[-1] > self.largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner(image, scale)


def test_tiles_are_halved_where_memory_is_short(caplog):
    image, network = torch.rand(1, 1, 130, 70), ShortOfMemory(80)
    expected = TiledInferer(tile_size=1000)(image, network.inner)
    result = TiledInferer(tile_size=1000)(image, network)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
    # What did not fit is not tried again.
    assert sum(size > 80 for size in network.seen) <= 2
    assert "out of memory with tiles of 130 pixels; going on with 65" in caplog.text


def test_memory_too_short_for_any_tile_is_one_clear_line():
    with pytest.raises(OptionError, match=r"device: has too little memory .* use --device cpu"):
        TiledInferer()(torch.rand(1, 1, 60, 60), ShortOfMemory(3))
