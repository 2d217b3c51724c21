"""Tiles that go through the network together give what they give alone, in any memory."""

import pytest
import torch
from monai.data import MetaTensor

from monai_sr.core.errors import OptionError
from monai_sr.inferers import TiledInferer
from monai_sr.inferers import tile_run as tile_run_module
from monai_sr.inferers.tile_plan import TileGrid, batches
from tests.network_factory import tiny

WHOLE = 10_000


class Counting(torch.nn.Module):
    """Runs a generator, notes its batches, and has memory for some only."""

    def __init__(self, inner, most=WHOLE, largest_side=WHOLE):
        super().__init__()
        self.inner, self.most, self.largest_side, self.seen = inner, most, largest_side, []
        for name in ("info", "scale", "scales", "halo", "in_channels", "spatial_dims"):
            setattr(self, name, getattr(inner, name))

    def forward(self, image, scale=None):
        if len(image) > self.most or max(image.shape[2:]) > self.largest_side:
            raise torch.OutOfMemoryError("full")
        self.seen.append(len(image))
        return self.inner(image, scale)


def enlarge(image, network, tile_size=WHOLE, **options):
    return TiledInferer(tile_size=tile_size, **options)(image, network)


def assert_same_stored(first, second, levels=255):
    """Compare stored integers, but for ties within the rounding error of float32."""
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    a, b = (x.double() * levels for x in (first, second))
    is_tie = ((a % 1) - 0.5).abs() < 2e-6 * levels
    assert not ((a.round() != b.round()) & ~is_tie).any()


@pytest.mark.parametrize("scale", [2, 2.5, 4])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_batches_of_tiles_equal_single_tiles_and_the_whole(scale, channels):
    network, image = Counting(tiny(3)), torch.rand(1, channels, 121, 118)
    whole = enlarge(image, network, scale=scale)
    alone = enlarge(image, network, 20, scale=scale)
    assert set(network.seen) == {1}
    network.seen.clear()
    together = enlarge(image, network, 20, scale=scale, tile_batch=3)
    assert max(network.seen) == 3 or scale == 2.5  # resampled tiles are seldom alike
    assert_same_stored(together, alone)
    assert_same_stored(together, whole)


def test_slices_of_a_volume_go_together():
    network, volume = Counting(tiny()), torch.rand(1, 1, 13, 9, 7)
    for axis in range(3):
        image = MetaTensor(volume, meta={"sr_slice_axis": axis})
        alone = enlarge(image, network).as_tensor()
        network.seen.clear()
        together = enlarge(image, network, tile_batch=4).as_tensor()
        count = volume.shape[2 + axis]
        assert network.seen == [4] * (count // 4) + [count % 4] * (count % 4 > 0)
        assert together.is_contiguous()
        assert_same_stored(together, alone)


def test_every_image_of_a_batch_of_tiles_keeps_its_own_limits():
    image = MetaTensor(torch.rand(2, 1, 110, 105) * 4 - 2, meta={})
    image.meta["sr_clip"] = [[[-1.0, 2.0]], [[0.0, 0.5]]]
    image.is_batch = True
    network = Counting(tiny())
    together = enlarge(image, network, 16, tile_batch=4).as_tensor()
    assert max(network.seen) == 8
    assert_same_stored(together, enlarge(image, network).as_tensor())
    for part, (low, high) in zip(together, ((-1.0, 2.0), (0.0, 0.5)), strict=True):
        assert (float(part.min()), float(part.max())) == (low, high)


@pytest.mark.parametrize(("most", "found"), [(5, 5), (3, 2), (1, 1)])
def test_batches_are_halved_where_memory_does_not_suffice(most, found, caplog):
    network, image = Counting(tiny(), most), torch.rand(1, 1, 130, 132)
    together = enlarge(image, network, 16, tile_batch=5)
    assert max(network.seen) == found
    said = [r.getMessage() for r in caplog.records if "out of memory" in r.getMessage()]
    assert (
        said
        == {
            5: [],
            3: ["out of memory with 5 tiles at a time; going on with 2"],
            1: [
                "out of memory with 5 tiles at a time; going on with 2",
                "out of memory with 2 tiles at a time; going on with 1",
            ],
        }[most]
    )
    assert_same_stored(together, enlarge(image, tiny()))


def test_single_tiles_are_still_quartered_after_that(caplog):
    network = Counting(tiny(), most=2, largest_side=60)
    image = torch.rand(1, 1, 200, 196)
    together = enlarge(image, network, 50, tile_batch=4)
    assert "out of memory with 4 tiles at a time; going on with 2" in caplog.text
    assert "out of memory with tiles of 50 pixels; going on with 25" in caplog.text
    assert_same_stored(together, enlarge(image, tiny()))


def test_tiles_of_one_geometry_alone_go_together():
    grid = TileGrid((96, 64), (384, 256), 4, 5)
    tiles = grid.tiles(16)
    seen = []
    for batch in batches(tiles, 2, 3, 4):
        assert len(batch) <= 3
        assert len({tile.geometry(4) for _, tile in batch}) == 1
        seen += [(image, tile.name) for image, tile in batch]
    assert sorted(seen) == sorted((i, tile.name) for i in range(2) for tile in tiles)
    # Corners, edges and the inside, of two images.
    assert len({tile.geometry(4) for tile in tiles}) == 9
    assert list(batches(tiles, 2, 1, 4)) == [[(i, tile)] for i in range(2) for tile in tiles]


def test_a_processor_takes_one_tile_at_a_time_and_a_gpu_what_keeps_it_busy(monkeypatch):
    run = TiledInferer()._run(tiny(), None, torch.rand(1, 1, 8, 8))
    grid = run.grid((512, 512), (2048, 2048), 4)
    tiles = grid.tiles(128)
    assert run.fitting_batch(tiles, grid) == 1
    run.device = torch.device("cuda")
    largest = (128 + 2 * grid.halo) ** 2
    for free, expected in ((1e12, 2**20 // largest), (0, 1)):
        monkeypatch.setattr(tile_run_module, "_free_bytes", lambda _, free=free: free)
        assert run.fitting_batch(tiles, grid) == expected
    # Three buffers of float32 as wide as the widest layer, on the finest grid.
    monkeypatch.setattr(tile_run_module, "_free_bytes", lambda _: largest * 16 * 8 * 4 * 3 * 3.5)
    assert run.fitting_batch(tiles, grid) == 3


@pytest.mark.parametrize("given", [0, -1, 1.5, "many"])
def test_a_batch_that_is_none_is_refused(given):
    with pytest.raises(OptionError, match="tile_batch: must be a whole number >= 1"):
        TiledInferer(tile_batch=given)


@pytest.mark.gpu
def test_a_gpu_gives_what_a_processor_gives():
    image = torch.rand(1, 1, 300, 280)
    expected = enlarge(image, tiny(), 64)
    network = tiny().cuda()
    torch.backends.cudnn.allow_tf32 = False
    for given in (image, image.cuda()):
        found = enlarge(given, network, 64)
        assert found.device == given.device
        assert_same_stored(found.cpu(), expected)
