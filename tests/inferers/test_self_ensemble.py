"""The self-ensemble: eight views of one image, their mean and their spread."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sr.inferers import SelfEnsembleInferer, TiledInferer, count_views
from monai_sr.inferers.self_ensemble import SPREAD_KEY, interval_half_width
from monai_sr.networks import create_generator
from tests.network_factory import tiny


def _views(image, inferer, network):
    """Enlarge the eight symmetric copies of (N, C, H, W) with numpy's own turns."""
    results = []
    for mirror in (False, True):
        for turns in range(4):
            moved = image.numpy()
            moved = np.flip(moved, 2) if mirror else moved
            moved = np.rot90(moved, turns, (2, 3)).copy()
            large = inferer(torch.from_numpy(moved), network).numpy()
            large = np.rot90(large, -turns, (2, 3))
            results.append(np.flip(large, 2) if mirror else large)
    return np.stack(results)


@pytest.mark.parametrize("shape", [(1, 1, 9, 14), (2, 1, 6, 6)])
def test_mean_and_spread_are_those_of_eight_views(shape):
    image, network = torch.rand(shape), tiny(1)
    expected = _views(image, TiledInferer(2), network)
    mean, spread = SelfEnsembleInferer(2).mean_and_spread(image, network)
    np.testing.assert_allclose(mean, expected.mean(0), atol=2e-6)
    np.testing.assert_allclose(spread, expected.std(0, ddof=1), atol=2e-6)
    assert float(spread.max()) > 1e-4


@pytest.mark.parametrize("sizes", [(18, 28), (15, 23)])
def test_sizes_that_were_planned_turn_with_the_views(sizes):
    image, network, inferer = torch.rand(1, 1, 9, 14), tiny(1), SelfEnsembleInferer(2)
    meta = {"sr_sizes": np.array(sizes), "sr_rgb": 0}
    mean, spread = inferer.mean_and_spread(MetaTensor(image, meta=meta), network)
    assert mean.shape == spread.shape == (1, 1, *sizes)
    if sizes == (18, 28):  # what the scale gives anyhow
        expected_mean, expected_spread = inferer.mean_and_spread(image, network)
        torch.testing.assert_close(mean.as_tensor(), expected_mean)
        torch.testing.assert_close(spread, expected_spread)


def test_a_symmetric_generator_has_no_spread():
    network = create_generator("nearest", in_channels=1, scale=2)
    image = torch.rand(1, 1, 7, 5)
    mean, spread = SelfEnsembleInferer(2, consistency=0).mean_and_spread(image, network)
    assert float(spread.max()) < 1e-6
    torch.testing.assert_close(mean, network(image, 2))


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_slices_of_a_volume_are_turned_in_their_own_plane(slice_axis):
    network, inferer = tiny(1), SelfEnsembleInferer(2, spread=True)
    volume = torch.rand(1, 1, 5, 6, 7)
    meta = {"sr_slice_axis": slice_axis, "sr_rgb": 0}
    result = inferer(MetaTensor(volume, meta=meta), network)
    for index in range(volume.shape[2 + slice_axis]):
        plane = volume.select(2 + slice_axis, index)
        mean, spread = inferer.mean_and_spread(plane, network)
        torch.testing.assert_close(result.as_tensor().select(2 + slice_axis, index), mean)
        found = result.meta[SPREAD_KEY].select(2 + slice_axis, index)
        torch.testing.assert_close(found, spread)


def test_without_spread_it_is_the_tiled_inferer():
    image, network = MetaTensor(torch.rand(1, 1, 8, 9)), tiny(1)
    result = SelfEnsembleInferer(2)(image, network)
    torch.testing.assert_close(result, TiledInferer(2)(image, network))
    assert SPREAD_KEY not in result.meta


def test_tiles_have_the_mean_and_spread_of_the_whole():
    image, network = torch.rand(1, 1, 40, 33), tiny(1)
    whole = SelfEnsembleInferer(2).mean_and_spread(image, network)
    tiled = SelfEnsembleInferer(2, tile_size=16).mean_and_spread(image, network)
    for part, expected in zip(tiled, whole, strict=True):
        torch.testing.assert_close(part, expected, atol=1e-6, rtol=0)


def test_the_factor_covers_the_wanted_share():
    spread = torch.rand(20_000) + 0.1
    errors = spread * torch.randn(20_000).abs()
    factor = interval_half_width(errors, spread, 0.9)
    # 90 % of a normal distribution lie within 1.645 standard deviations.
    assert factor == pytest.approx(1.645, abs=0.04)
    assert float((errors <= factor * spread).double().mean()) == pytest.approx(0.9, abs=1e-4)


def test_a_spread_takes_the_eight_views_of_a_square():
    assert (count_views(spread=False), count_views(spread=True)) == (1, 8)
