"""Gradients of a network are complete, and not used yet, at the event that is told."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents, SupervisedTrainer
from monai.utils.enums import AdversarialIterationEvents
from torch import nn

from monai_sr.losses import CompositeLoss, L1Loss, VanillaAdversarialLoss
from monai_sr.training import SRAdversarialTrainer
from monai_sr.training.handlers import gradients_completed

STEPS = 4


class Shift(nn.Module):
    """Adds one learned number; as a judge it gives a list."""

    def __init__(self, is_judge=False):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.5))
        self.is_judge = is_judge

    def forward(self, image, scale=1):
        return [image, image * self.shift] if self.is_judge else image + self.shift


def supervised():
    network = Shift()
    engine = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[{"image": torch.ones(1, 1, 2, 2), "label": torch.zeros(1, 1, 2, 2)}]
        * STEPS,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=nn.MSELoss(),
        decollate=False,
        optim_set_to_none=True,
    )
    return engine, network


def adversarial(accumulation_steps=1):
    generator, judge, term = Shift(), Shift(is_judge=True), VanillaAdversarialLoss()
    engine = SRAdversarialTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[{"image": torch.ones(1, 1, 2, 2), "label": torch.zeros(1, 1, 2, 2)}]
        * STEPS,
        g_network=generator,
        g_optimizer=torch.optim.SGD(generator.parameters(), lr=0.1),
        g_loss_function=CompositeLoss({"pixel": L1Loss(), "adversarial": term}),
        d_network=judge,
        d_optimizer=torch.optim.SGD(judge.parameters(), lr=0.1),
        d_loss_function=term.discriminator,
        accumulation_steps=accumulation_steps,
    )
    return engine, generator, judge


def look(engine, network):
    """Note weight and gradient at the event of each turn of a network; run."""
    seen = []

    def note(_engine):
        seen.append((network.shift.item(), network.shift.grad.item()))

    engine.add_event_handler(gradients_completed(engine, network), note)
    engine.run()
    return [*seen, (network.shift.item(), None)]


def assert_each_step_used_what_was_seen(seen):
    for (weight, gradient), (after, _) in pairwise(seen):
        assert gradient != 0
        assert after == pytest.approx(weight - 0.1 * gradient, rel=1e-5)


def test_gradients_of_a_supervised_network_are_seen_before_each_step():
    seen = look(*supervised())
    assert len(seen) == STEPS + 1
    assert_each_step_used_what_was_seen(seen)


@pytest.mark.parametrize("turn", ["generator", "discriminator"])
@pytest.mark.parametrize(("accumulation_steps", "updates"), [(1, 4), (2, 2)])
def test_gradients_of_either_network_of_a_gan_are_seen_before_each_step(
    turn, accumulation_steps, updates
):
    engine, generator, judge = adversarial(accumulation_steps)
    seen = look(engine, generator if turn == "generator" else judge)
    assert len(seen) == updates + 1
    assert_each_step_used_what_was_seen(seen)


def test_only_the_discriminator_has_an_event_of_its_own():
    engine, generator, judge = adversarial()
    own = AdversarialIterationEvents.DISCRIMINATOR_BACKWARD_COMPLETED
    assert gradients_completed(engine, judge) is own
    assert gradients_completed(engine, generator) is IterationEvents.BACKWARD_COMPLETED
    assert gradients_completed(Engine(print), judge) is IterationEvents.BACKWARD_COMPLETED
