"""Orthogonal steps of hidden weights, Adam's of the others."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from monai_sr.training import MuonWithAdam


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 24, 3), nn.Conv2d(24, 32, 3), nn.Conv2d(32, 32, 3), nn.Conv2d(32, 3, 3)
    )


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        image = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        (model(image) - image[:, :, 4:-4, 4:-4]).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(32, 24, 3, 3), (24, 16, 3, 3, 3), (64, 16, 1, 1)])
def test_hidden_convolutions_move_as_the_muon_of_torch_moves_matrices(shape):
    generator = torch.Generator().manual_seed(1)
    ours = nn.Parameter(torch.zeros(shape))
    theirs = nn.Parameter(torch.zeros(shape).flatten(1))
    mine = MuonWithAdam([ours], lr=0.1)
    reference = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        ours.grad, theirs.grad = gradient, gradient.flatten(1).clone()
        mine.step()
        reference.step()
        # torch's turns in bfloat16.
        torch.testing.assert_close(ours.data.flatten(1), theirs.data, rtol=0.02, atol=2e-3)


def test_step_of_a_hidden_weight_has_equal_singular_values():
    weight = nn.Parameter(torch.zeros(32, 48, 3, 3))
    weight.grad = torch.randn(32, 48, 3, 3) * torch.logspace(-1, 1, 32).view(-1, 1, 1, 1)
    MuonWithAdam([weight], lr=1.0).step()
    values = torch.linalg.svdvals(weight.data.flatten(1)) / (0.2 * (48 * 9) ** 0.5)
    assert 0.5 < values.min() <= values.max() < 1.3


def test_other_parameters_move_by_adam():
    mine, theirs = network(), network()
    steps(mine, MuonWithAdam(mine.parameters(), lr=1e-3, betas=(0.9, 0.99)), range(1))
    steps(theirs, torch.optim.Adam(theirs.parameters(), lr=1e-3, betas=(0.9, 0.99)), range(1))
    for (name, value), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(value, other) == (name not in ("1.weight", "2.weight")), name


def test_weights_of_one_shape_move_as_each_alone():
    gradients = torch.randn(3, 16, 16, 3, 3) * torch.tensor([1.0, 1e-3, 1e3]).view(3, 1, 1, 1, 1)
    together = [nn.Parameter(torch.zeros(16, 16, 3, 3)) for _ in gradients]
    for weight, gradient in zip(together, gradients, strict=True):
        weight.grad = gradient.clone()
    MuonWithAdam(together, lr=0.1).step()
    for weight, gradient in zip(together, gradients, strict=True):
        alone = nn.Parameter(torch.zeros(16, 16, 3, 3))
        alone.grad = gradient
        MuonWithAdam([alone], lr=0.1).step()
        torch.testing.assert_close(weight.data, alone.data)


def test_resumed_equals_uninterrupted():
    whole, parts = network(), network()
    steps(whole, MuonWithAdam(whole.parameters()), range(6))
    first = MuonWithAdam(parts.parameters())
    steps(parts, first, range(3))
    state = copy.deepcopy(first.state_dict())
    second = MuonWithAdam(parts.parameters())
    second.load_state_dict(state)
    steps(parts, second, range(3, 6))
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


def test_state_of_adam_is_taken_on():
    model = network()
    adam = torch.optim.Adam(model.parameters(), fused=True)
    steps(model, adam, range(2))
    optimizer = MuonWithAdam(model.parameters(), fused=True)
    optimizer.load_state_dict(adam.state_dict())
    before = copy.deepcopy(model.state_dict())
    steps(model, optimizer, range(2, 4))
    for name, value in model.state_dict().items():
        assert not torch.equal(value, before[name]), name


def test_weights_without_gradient_or_with_zeros_stay():
    unused, zero = (nn.Parameter(torch.ones(16, 16, 3, 3)) for _ in range(2))
    zero.grad = torch.zeros(16, 16, 3, 3)
    MuonWithAdam([unused, zero]).step()
    assert torch.equal(unused.data, torch.ones(16, 16, 3, 3))
    assert torch.equal(zero.data, torch.ones(16, 16, 3, 3))


def test_closure_gives_the_gradients_and_its_loss_returns():
    weight = nn.Parameter(torch.ones(16, 16))
    optimizer = MuonWithAdam([weight], lr=0.01)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 256
    assert weight.square().sum() < 256


def test_memory_format_of_weights_is_kept():
    model = network().to(memory_format=torch.channels_last)
    steps(model, MuonWithAdam(model.parameters()), range(2))
    assert model[1].weight.is_contiguous(memory_format=torch.channels_last)
