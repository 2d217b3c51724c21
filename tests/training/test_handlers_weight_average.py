"""The averaged network of a short run and of a long one."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from monai_sr.core.errors import OptionError
from monai_sr.training import WeightAverage


def _average(steps: int, momentum: float) -> tuple[float, list[float]]:
    """Let a weight rise by one a step; return its average and the values it had."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    handler = WeightAverage(model, momentum)
    values = []

    def step(_engine, _batch) -> None:
        with torch.no_grad():
            model.weight += 1
        values.append(model.weight.item())

    engine = Engine(step)
    handler.attach(engine)
    engine.run(range(steps), max_epochs=1)
    return handler.ema_model.weight.item(), values


def test_average_of_a_short_run_lies_in_its_last_part():
    average, values = _average(100, momentum=1e-3)
    assert 80 < average < values[-1]


def test_average_follows_its_formula():
    average, values = _average(40, momentum=0.3)
    expected = 0.0
    for t, value in enumerate(values, start=1):
        newest = max(0.3, 9 / (t + 9))
        expected += newest * (value - expected)
    assert average == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("momentum", [0, 1, 2, -0.1, "slow"])
def test_a_momentum_that_is_no_share_is_refused(momentum):
    with pytest.raises(OptionError, match="ema_momentum: must lie between 0 and 1"):
        WeightAverage(nn.Linear(1, 1), momentum)
