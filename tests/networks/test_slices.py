"""The network for thick slices: it starts as the splines, and sees no farther than it says."""

from __future__ import annotations

import torch

from monai_sr.networks import SliceRefiner


def test_training_starts_from_the_splines():
    planes = torch.rand(2, 3, 7, 5)
    assert torch.equal(SliceRefiner(4, 1)(planes), planes[:, :1])


def test_the_halo_is_the_receptive_field():
    network = SliceRefiner(channels=3, num_blocks=2).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.01, 0.1)
    planes = (torch.rand(1, 3, 21, 21, dtype=torch.float64) / 4 + 0.7).requires_grad_()
    network(planes)[0, 0, 10, 10].backward()
    rows = planes.grad[0].abs().sum((0, 2)).nonzero().flatten()
    assert (rows.min(), rows.max()) == (10 - network.halo, 10 + network.halo)


def test_every_channel_counts():
    network = SliceRefiner(channels=4, num_blocks=1)
    with torch.no_grad():
        network.tail.weight.uniform_(-1, 1)
    planes = torch.rand(1, 3, 6, 6, requires_grad=True)
    (network(planes) - planes[:, :1]).abs().sum().backward()
    assert (planes.grad.abs().sum((0, 2, 3)) > 0).all()
