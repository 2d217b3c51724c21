"""A smaller network out of a trained one."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.networks import create_generator, prune_hybrid_cascade
from tests.network_factory import tiny


def test_what_does_nothing_goes_and_the_result_stays():
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
    for scale in (2, 4):
        torch.testing.assert_close(small(image, scale), network(image, scale))


def test_every_weight_of_the_small_network_is_one_of_the_large():
    network = tiny(channels=8, num_blocks=3)
    small = prune_hybrid_cascade(network, channels=5, num_blocks=2)
    same = create_generator(
        "hybrid_cascade", in_channels=1, channels=5, num_blocks=2, block="plain", recursions=1,
        cascade_channels=4,
    )  # fmt: skip
    same.load_state_dict(small.state_dict())
    known = torch.cat([tensor.flatten() for tensor in network.state_dict().values()])
    for name, tensor in small.state_dict().items():
        assert torch.isin(tensor, known).all(), name


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
