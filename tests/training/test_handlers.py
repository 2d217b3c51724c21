"""Gradient clipping in a real trainer."""

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedTrainer
from torch import nn

from monai_sr.core.errors import OptionError
from monai_sr.losses import CompositeLoss, L1Loss, VanillaAdversarialLoss
from monai_sr.training import GradientClipping, SRAdversarialTrainer


@pytest.mark.parametrize(("max_norm", "norm"), [(0.5, 0.5), (1e6, None), ("inf", None)])
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


@pytest.mark.parametrize("max_norm", [0.0, -1.0, float("nan")])
def test_a_norm_with_which_nothing_is_learned_is_refused(max_norm):
    with pytest.raises(OptionError, match=r"gradient_norm: must be above 0.*inf leaves"):
        GradientClipping(nn.Linear(3, 2), max_norm)


class Judge(nn.Module):
    """Logits far from zero: their gradients are large."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1, bias=False)

    def forward(self, image):
        return [image, self.layer(image)]


@pytest.mark.parametrize("clipped", ["generator", "discriminator"])
def test_either_network_of_a_gan_is_clipped_in_its_own_turn_alone(clipped):
    networks = {"generator": nn.Conv2d(1, 1, 1, bias=False), "discriminator": Judge()}
    before = {n: next(net.parameters()).detach().clone() for n, net in networks.items()}
    generator, judge = networks.values()
    # The enlargement is 1, and the network is not told.
    generator.forward = lambda image, scale: nn.Conv2d.forward(generator, image)
    term = VanillaAdversarialLoss()
    trainer = SRAdversarialTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[
            {"image": torch.ones(2, 1, 4, 4), "label": torch.full((2, 1, 4, 4), 9.0)}
        ],
        g_network=generator,
        g_optimizer=torch.optim.SGD(generator.parameters(), lr=1.0),
        g_loss_function=CompositeLoss({"pixel": L1Loss(), "adversarial": term}),
        d_network=judge,
        d_optimizer=torch.optim.SGD(judge.parameters(), lr=1.0),
        d_loss_function=term.discriminator,
        train_handlers=[GradientClipping(networks[clipped], 0.01)],
    )
    trainer.run()
    for name, network in networks.items():
        taken = (next(network.parameters()) - before[name]).norm().item()
        if name == clipped:
            assert taken == pytest.approx(0.01, rel=1e-3)
        else:
            assert taken > 0.02
