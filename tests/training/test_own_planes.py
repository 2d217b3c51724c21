"""A network learns from a volume's own slices, and nothing that makes it worse counts."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch

from monai_sr.core import OptionError
from monai_sr.functional import SliceProfile
from monai_sr.networks import SliceRefiner
from monai_sr.training import own_planes, tuned_on_planes

PROFILE = SliceProfile()


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = SliceRefiner(channels=8, num_blocks=1).eval().requires_grad_(False)
        made.tail.weight.normal_(0, 0.3)
        return made


@pytest.fixture
def clock(monkeypatch):
    """Let a minute pass in a hundred steps, however fast the machine is."""
    ticks = itertools.count()
    time = SimpleNamespace(monotonic=lambda: next(ticks) * 0.6)
    monkeypatch.setattr(own_planes, "time", time)


def stripes(count=8, size=24):
    """Draw planes of fine stripes at all angles: detail that splines miss."""
    x, y = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    angles = torch.arange(count) * 0.8
    waves = [torch.sin(1.9 * (x * a.cos() + y * a.sin())) for a in angles]
    return 0.5 + 0.4 * torch.stack(waves)[:, None]


@pytest.mark.usefixtures("clock")
def test_a_network_learns_what_planes_show(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():  # as inferers call it
        found = tuned_on_planes(network, stripes(), 2.0, PROFILE, 1)
    assert found.steps == 100
    assert found.before < -0.5  # it knows nothing yet, and splines are better without it
    assert found.after > found.before + 0.5
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not found.network.training
    assert not any(p.requires_grad for p in found.network.parameters())
    tail = found.network.state_dict()["tail.weight"]
    assert not torch.equal(tail, before["tail.weight"])


def test_what_makes_held_planes_no_better_is_forgotten(network, monkeypatch):
    gains = iter([1.0, 0.9])
    monkeypatch.setattr(own_planes, "_gain", lambda *_: next(gains))
    found = tuned_on_planes(network, stripes(), 2.0, PROFILE, 1e-4)
    assert (found.before, found.after) == (1.0, 0.9)
    for name, value in found.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])


def test_planes_that_are_nearly_empty_teach_nothing(network):
    planes = stripes()
    empty = torch.zeros(40, 1, 24, 24)
    empty[:, :, 0, 0] = 1
    with_empty, without = (
        tuned_on_planes(network, p, 2.0, PROFILE, 1e-4)
        for p in (torch.cat([empty, planes]), planes)
    )
    assert with_empty.before == without.before
    alone = tuned_on_planes(network, empty, 2.0, PROFILE, 1e-4)
    assert alone.steps >= 1


def test_small_planes_are_refused(network):
    with pytest.raises(OptionError, match="needs slices of 12 voxels a side or more, got 24 x 9;"):
        tuned_on_planes(network, stripes()[..., :9], 3.0, PROFILE, 1e-4)


def test_too_few_slices_to_hold_one_back_are_refused(network):
    with pytest.raises(OptionError, match="needs 4 slices or more with something to see, got 3;"):
        tuned_on_planes(network, stripes(3), 2.0, PROFILE, 1)
