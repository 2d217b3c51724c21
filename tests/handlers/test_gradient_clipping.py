"""Gradient clipping in a real trainer."""

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedTrainer
from torch import nn

from monai_sr.handlers import GradientClipping


@pytest.mark.parametrize(("max_norm", "norm"), [(0.5, 0.5), (1e6, None)])
def test_step_is_made_with_gradients_of_at_most_that_norm(max_norm, norm):
    network = nn.Linear(3, 2, bias=False)
    before = network.weight.detach().clone()
    image, label = torch.ones(4, 3), torch.full((4, 2), 100.0)
    expected = torch.autograd.grad(nn.functional.mse_loss(network(image), label), network.weight)[0]
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[{"image": image, "label": label}],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        loss_function=nn.MSELoss(),
        train_handlers=[GradientClipping(network, max_norm)],
        decollate=False,
    )
    trainer.run()
    taken = before - network.weight.detach()
    assert taken.norm().item() == pytest.approx(norm or expected.norm().item(), rel=1e-4)
    torch.testing.assert_close(taken / taken.norm(), expected / expected.norm())
