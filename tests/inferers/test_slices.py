"""Thin slices agree with the thick ones, whatever the network says, and stay within limits."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_sr.core import OptionError, WeightsError
from monai_sr.functional import SliceProfile, reduce_slices, restore_slices
from monai_sr.inferers import SliceRestorer, TiledInferer, slice_restorer
from monai_sr.networks import SliceRefiner, create_generator, save_weights
from monai_sr.training import own_planes

SIZES = {"channels": 4, "num_blocks": 1}
PROFILE = SliceProfile()


@pytest.fixture
def weights(tmp_path):
    """Write weights that change what splines give."""
    network = SliceRefiner(**SIZES)
    with torch.no_grad():
        network.tail.weight.normal_(0, 0.3)
    save_weights(network, tmp_path / "model_slices.pt")
    return tmp_path / "model_slices.pt"


@pytest.fixture
def restorer(weights):
    return SliceRestorer(weights, network=SIZES)


@pytest.fixture
def volume():
    coarse = torch.rand(1, 2, 6, 5, 4)
    return coarse.repeat_interleave(2, 2).repeat_interleave(2, 3) / 2 + 0.25


@pytest.mark.parametrize("dim", [2, 3, 4])
@pytest.mark.parametrize("factor", [2.0, 2.5, 6.5])
def test_restored_slices_agree_with_the_given_ones(restorer, volume, dim, factor):
    size = round(volume.shape[dim] * factor)
    found = restorer(volume, size, dim)
    assert found.shape[dim] == size
    torch.testing.assert_close(
        reduce_slices(found, volume.shape[dim], dim, PROFILE), volume, rtol=0, atol=1e-5
    )
    plain = restore_slices(volume, size, dim, PROFILE)
    assert (found - plain).abs().max() > 1e-3


def test_beyond_its_factors_splines_are_all(restorer, volume):
    assert not restorer.knows(1.5)
    found = restorer(volume, 6, 4)
    torch.testing.assert_close(found, restore_slices(volume, 6, 4, PROFILE), rtol=0, atol=1e-5)
    assert json.loads(restorer.record(1.5))["restored_by"] == "splines"
    record = json.loads(restorer.record(3))
    assert record["restored_by"] == "network"
    assert len(record["weights_sha256"]) == 64
    assert record["profile"] == {"kind": "slr", "thickness": 1.0}


def test_both_kinds_of_planes_count_alike(restorer, volume):
    found = restorer(volume, 12, 4)
    turned = restorer(volume.transpose(2, 3), 12, 4).transpose(2, 3)
    torch.testing.assert_close(found, turned)
    channels = [restorer(volume[:, c : c + 1], 12, 4) for c in range(2)]
    torch.testing.assert_close(found, torch.cat(channels, 1))


def test_parts_of_planes_do_not_show(restorer, volume, monkeypatch):
    found = restorer(volume, 12, 4)
    monkeypatch.setattr("monai_sr.inferers.slices._SAMPLES", 1)
    torch.testing.assert_close(found, restorer(volume, 12, 4))


def test_limits_hold(restorer, volume):
    limits = (volume.new_full((1, 2, 1, 1, 1), 0.4), volume.new_full((1, 2, 1, 1, 1), 0.6))
    found = restorer(volume, 12, 4, limits=limits)
    assert (found.min(), found.max()) == (limits[0].min(), limits[1].max())
    near = restorer(volume, 12, 4, overshoot=0.0)
    low = -torch.nn.functional.max_pool3d(-volume, 3, 1, 1).repeat_interleave(3, 4)
    assert (near >= low).all()
    assert (restorer(volume, 12, 4) < low).any()


def test_a_constant_volume_stays(restorer):
    found = restorer(torch.full((1, 1, 4, 5, 3), 0.37), 12, 4, overshoot=0.3)
    torch.testing.assert_close(found, torch.full((1, 1, 4, 5, 12), 0.37))


def planned(values, sizes, **facts):
    meta = {"sr_sizes": np.array(sizes), "sr_slice_axis": 2, "affine": np.eye(4), **facts}
    image = MetaTensor(values)
    image.meta, image.is_batch = meta, True
    return image


def test_slices_come_before_the_network_in_plane(restorer, volume):
    network = create_generator("bicubic", scale=2, in_channels=2)
    inferer = TiledInferer(2, consistency=0, slices=restorer)
    found = inferer(planned(volume, (24, 20, 12)), network)
    thin = restorer(volume, 12, 4, limits=(torch.zeros(1), torch.ones(1)))
    expected = TiledInferer(2, consistency=0)(thin, network)
    torch.testing.assert_close(found.as_tensor(), expected)
    assert json.loads(found.meta["sr_slices"])["restored_by"] == "network"
    np.testing.assert_allclose(found.meta["affine"].diagonal(), [0.5, 0.5, 1 / 3, 1])


def test_slices_alone_need_no_network_in_plane(restorer, volume):
    network = create_generator("nearest", scale=2, in_channels=2)
    found = TiledInferer(2, slices=restorer, clip=None)(planned(volume, (12, 10, 12)), network)
    torch.testing.assert_close(found.as_tensor(), restorer(volume, 12, 4))


def test_where_slices_stay_nothing_changes(restorer, volume):
    network = create_generator("bicubic", scale=2, in_channels=2)
    with_slices, without = (
        TiledInferer(2, slices=slices)(planned(volume, (24, 20, 4)), network)
        for slices in (restorer, None)
    )
    assert torch.equal(with_slices, without)
    assert with_slices.meta["sr_slices"] == ""


def test_labels_keep_their_values(restorer):
    labels = torch.randint(0, 5, (1, 1, 6, 5, 4)).float() * 7
    network = create_generator("bicubic", scale=2, in_channels=1)
    image = planned(labels, (12, 10, 12), sr_kind="label")
    found = TiledInferer(2, slices=restorer)(image, network)
    expected = labels.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(3, 4)
    assert torch.equal(found.as_tensor(), expected)


def test_weights_of_another_network_are_refused(weights, volume):
    with pytest.raises(WeightsError, match="belong to another network than SliceRefiner"):
        SliceRestorer(weights, network={"channels": 5, "num_blocks": 1})(volume, 12, 4)


def test_factors_must_fit(weights):
    with pytest.raises(OptionError, match="factors: needs"):
        SliceRestorer(weights, factors=(6, 2))


def test_tuned_weights_serve_one_volume(weights, monkeypatch):
    gains = iter([0.0, 1.0])
    monkeypatch.setattr(own_planes, "_gain", lambda *_: next(gains))
    volume = torch.rand(1, 1, 24, 20, 4)
    tuned = SliceRestorer(weights, network=SIZES, tune=0.001)
    plain = SliceRestorer(weights, network=SIZES)(volume, 12, 4)
    found = tuned(volume, 12, 4)
    assert not torch.equal(found, plain)
    torch.testing.assert_close(reduce_slices(found, 4, 4, PROFILE), volume, rtol=0, atol=1e-5)
    assert json.loads(tuned.record(3))["tuned_minutes"] == 0.001
    assert "tuned_minutes" not in json.loads(tuned.record(1.5))
    tuned.tune = 0.0
    assert torch.equal(tuned(volume, 12, 4), plain)  # the next volume begins afresh


def test_tuning_needs_minutes(weights):
    for minutes in (-1, float("nan"), float("inf")):
        with pytest.raises(OptionError, match=r"tune: must be minutes, 0 for none, got"):
            SliceRestorer(weights, tune=minutes)


def test_a_bundle_restores_slices_where_its_own_model_runs_and_weights_are_there(weights):
    assert isinstance(slice_restorer(weights), SliceRestorer)
    assert slice_restorer(weights, system="bicubic") is None
    assert slice_restorer(weights, spatial_dims=3) is None
    assert slice_restorer(weights.with_name("none.pt")) is None
