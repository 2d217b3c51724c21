"""Averaging over processes; what several processes do is tested with ``core.distributed``."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents
from torch import nn

from monai_sr.training import GradientAveraging, handlers


def trainer(network):
    """Return an engine with the events of a trainer, which gives gradients and no step."""

    def step(engine, batch):
        network(torch.ones(1, 2)).sum().backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)

    engine = Engine(step)
    engine.register_events(*IterationEvents)
    return engine


def test_alone_it_is_not_even_called():
    network = nn.Linear(2, 1)
    engine = trainer(network)
    handler = GradientAveraging(network)
    handler.attach(engine)
    assert not engine.has_event_handler(handler)
    engine.run([0])
    assert torch.equal(network.weight.grad, torch.ones(1, 2))


@pytest.mark.parametrize("size", [2, 3])
def test_of_several_processes_each_averages_its_own_network_after_backward(monkeypatch, size):
    network, averaged = nn.Linear(2, 1), []
    monkeypatch.setattr(handlers, "world_size", lambda: size)
    monkeypatch.setattr(
        handlers,
        "average_gradients",
        lambda parameters: averaged.append([p.grad is not None for p in parameters]),
    )
    engine = trainer(network)
    GradientAveraging(network).attach(engine)
    engine.run([0, 0])
    assert averaged == [[True, True]] * 2
