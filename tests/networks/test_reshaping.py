"""A trained trunk in another width and depth."""

from __future__ import annotations

import pytest
import torch

from monai_sr.core.errors import OptionError
from monai_sr.networks import create_generator, reshape_trunk

CASCADE = {"name": "hybrid_cascade", "block": "plain", "recursions": 1, "cascade_channels": 3}
COMPACT = {"name": "compact_residual"}
BOTH = pytest.mark.parametrize("kind", [CASCADE, COMPACT], ids=["cascade", "compact"])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def trained(kind, *, channels=8, num_blocks=2, **options):
    """Return a network whose tails and offsets are not zero."""
    options = {"in_channels": 1, **kind, **options}
    network = create_generator(**options, channels=channels, num_blocks=num_blocks)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.bias, std=0.1)
            if name.startswith("tail"):
                torch.nn.init.normal_(module.weight, std=0.1)
    return network.eval()


def detail(network, images, scale):
    """Return what a network adds to interpolation."""
    with torch.no_grad():
        return network(images, scale) - create_generator("bicubic", in_channels=1, scale=scale)(
            images
        )


@BOTH
@pytest.mark.parametrize("scale", [2, 4])
def test_in_its_own_sizes_a_network_is_the_same(kind, scale):
    network, images = trained(kind), torch.rand(4, 1, 12, 13)
    new = reshape_trunk(network, images, channels=8, num_blocks=2).eval()
    with torch.no_grad():
        torch.testing.assert_close(new(images, scale), network(images, scale), rtol=0, atol=2e-5)


@BOTH
def test_channels_that_nothing_is_in_go_first(kind):
    network, images = trained(kind), torch.rand(4, 1, 12, 13)
    writers = [network.head, network.fusion, *(block.second for block in network.blocks)]
    mixed = torch.linalg.qr(torch.randn(8, 8)).Q[:, :5]
    with torch.no_grad():  # only five directions, along no axis
        for conv in writers:
            conv.weight.copy_(torch.einsum("ok,pk,pi...->oi...", mixed, mixed, conv.weight))
            conv.bias.copy_(mixed @ mixed.T @ conv.bias)
        for block in network.blocks:  # as few hidden units
            block.second.weight[:, 5:] = 0
    new = reshape_trunk(network, images, channels=5, num_blocks=2).eval()
    other = torch.rand(1, 1, 9, 10)
    with torch.no_grad():
        torch.testing.assert_close(new(other), network(other), rtol=0, atol=1e-4)


@BOTH
@pytest.mark.parametrize("num_blocks", [4, 5])
def test_small_changes_of_the_stream_may_stand_in_a_row(kind, num_blocks):
    network, images = trained(kind), torch.rand(4, 1, 12, 13)
    with torch.no_grad():
        for block in network.blocks:
            block.second.weight.mul_(0.05)
            block.second.bias.mul_(0.05)
    new = reshape_trunk(network, images, channels=8, num_blocks=num_blocks).eval()
    assert len(new.blocks) == num_blocks
    expected, found = detail(network, images, 4), detail(new, images, 4)
    assert (found - expected).abs().mean() < 0.02 * expected.abs().mean()
    assert any(block.second.weight.any() for block in list(new.blocks)[-2:])


def test_units_that_are_new_learn():
    network, images = trained(COMPACT), torch.rand(2, 1, 9, 9)
    new = reshape_trunk(network, images, channels=8, num_blocks=4)
    new(images).sum().backward()
    for block in new.blocks:
        assert block.second.weight.grad.abs().sum(dim=(0, 2, 3)).gt(0).any()
        assert torch.count_nonzero(block.first.weight.flatten(1).abs().sum(1)) == 8


def test_volumes_are_reshaped_too():
    network = create_generator(**COMPACT, in_channels=1, spatial_dims=3, channels=6, num_blocks=1)
    torch.nn.init.normal_(network.tail.weight)
    images = torch.rand(1, 1, 5, 6, 7)
    new = reshape_trunk(network, images, channels=6, num_blocks=1)
    torch.testing.assert_close(new(images), network(images), rtol=0, atol=1e-3)


def test_the_given_network_is_left_as_it_is():
    network, images = trained(CASCADE), torch.rand(2, 1, 9, 9)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    new = reshape_trunk(network, images, channels=8, num_blocks=3)
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.zero_()
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    "sizes", [{"channels": 9, "num_blocks": 2}, {"channels": 8, "num_blocks": 1}]
)
def test_wider_or_less_deep_is_refused(sizes):
    with pytest.raises(OptionError, match="must be at most 8 and at least 2"):
        reshape_trunk(trained(COMPACT), torch.rand(1, 1, 9, 9), **sizes)


@pytest.mark.parametrize(
    "options", [{"block": "dense"}, {"recursions": 2}, {**COMPACT, "limit": 2.0}]
)
def test_other_kinds_are_refused(options):
    kind = options if "limit" in options else {**CASCADE, **options}
    network = create_generator(**kind, in_channels=1, channels=4, num_blocks=1)
    with pytest.raises(OptionError, match="must have plain blocks"):
        reshape_trunk(network, torch.rand(1, 1, 9, 9), channels=4, num_blocks=1)
