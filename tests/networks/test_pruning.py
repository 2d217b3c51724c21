"""A smaller network out of a trained one."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.networks import create_generator, prune_hybrid_cascade
from tests.network_factory import tiny


def features(network, image):
    """Return what the tails read."""
    seen = []
    handle = network.joined.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
    network(image)
    handle.remove()
    return seen[0]


def test_what_does_nothing_goes_and_the_features_stay():
    network = tiny(in_channels=3, channels=8, num_blocks=3)
    silent_stream, silent_inner = [1, 6], [0, 7]
    with torch.no_grad():
        network.blocks[1].second.weight.zero_()
        network.blocks[1].second.bias.zero_()
        for conv in (network.head, network.fusion, *(block.second for block in network.blocks)):
            conv.weight[silent_stream] = 0
            conv.bias[silent_stream] = 0
        for block in network.blocks:
            block.first.weight[silent_inner] = 0
            block.first.bias[silent_inner] = 0
    small = prune_hybrid_cascade(network, channels=6, num_blocks=2)
    image = torch.rand(2, 3, 9, 11)
    kept = [channel for channel in range(8) if channel not in silent_stream]
    torch.testing.assert_close(features(small, image), features(network, image)[:, kept])


def test_the_small_network_interpolates_and_has_weights_of_the_large():
    network = tiny(channels=8, num_blocks=3)
    small = prune_hybrid_cascade(network, channels=5, num_blocks=2)
    same = create_generator("compact_residual", in_channels=1, channels=5, num_blocks=2)
    same.load_state_dict(small.state_dict())
    image = torch.rand(1, 1, 9, 11)
    for scale, interpolate in ((2, network.interpolate_x2), (4, network.interpolate_x4)):
        torch.testing.assert_close(small(image, scale), interpolate(image))
    known = torch.cat([tensor.flatten() for tensor in network.state_dict().values()])
    for name, tensor in small.state_dict().items():
        assert name.startswith("tail") or torch.isin(tensor, known).all(), name


def test_the_scale_of_the_trunk_goes_into_the_fusion():
    network = tiny(channels=8, num_blocks=1)
    with torch.no_grad():
        network.pass_scale.fill_(0.25)
    small = prune_hybrid_cascade(network, channels=8, num_blocks=1)
    torch.testing.assert_close(small.fusion.weight, network.fusion.weight * 0.25)


def test_the_given_network_is_left_as_it_is():
    network = tiny(channels=8, num_blocks=2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    small = prune_hybrid_cascade(network, channels=8, num_blocks=2)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("sizes", [(9, 2), (8, 3)])
def test_no_network_grows(sizes):
    with pytest.raises(OptionError, match="must be at most 8, 2"):
        prune_hybrid_cascade(tiny(channels=8, num_blocks=2), *sizes)


@pytest.mark.parametrize("options", [{"block": "dense"}, {"recursions": 2}])
def test_other_kinds_are_refused(options):
    with pytest.raises(OptionError, match="plain blocks without recursion"):
        prune_hybrid_cascade(tiny(**options), 4, 1)
