"""Learning rates over a budget."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from monai_sr.core.errors import OptionError
from monai_sr.training import BudgetSchedule, schedule


@pytest.fixture
def optimizer():
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=123.0)


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that stands still until it is set."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(schedule, "time", clock)
    return clock


def test_rate_is_a_warm_up_and_a_cosine(optimizer):
    plan = BudgetSchedule(optimizer, 1e-3, steps=1000, warmup_steps=100, final_lr=1e-5)
    rates = torch.tensor([plan.rate(i) for i in range(1, 1001)])
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
        torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3), 1000, eta_min=1e-5
    )
    for iteration in range(1, 1001):
        warm = min(1.0, iteration / 100)
        assert rates[iteration - 1].item() == pytest.approx(
            warm * cosine.get_last_lr()[0], rel=1e-4
        )
        cosine.optimizer.step()
        cosine.step()
    assert rates[:90].diff().min() > 0
    assert rates[100:].diff().max() < 0


def test_rate_of_a_step_does_not_depend_on_the_steps_before(optimizer):
    plan = BudgetSchedule(optimizer, 1e-3, steps=50, warmup_steps=5)
    rates = [plan.rate(i) for i in range(1, 51)]
    assert [plan.rate(i) for i in range(50, 0, -1)] == rates[::-1]


def test_run_ends_with_the_budget_of_steps_and_has_set_each_rate(optimizer):
    plan, used = BudgetSchedule(optimizer, 1e-3, steps=12, warmup_steps=3), []
    engine = Engine(lambda _, __: used.append(optimizer.param_groups[0]["lr"]))
    plan.attach(engine)
    engine.run(range(5), max_epochs=100)
    assert used == [plan.rate(i) for i in range(1, 13)]


def test_run_ends_with_the_budget_of_minutes(optimizer, clock):
    plan = BudgetSchedule(optimizer, 1.0, minutes=2, warmup_steps=0, final_lr=0.0)
    rates = []

    def step(engine, _):
        rates.append(optimizer.param_groups[0]["lr"])
        clock.now += 30

    engine = Engine(step)
    plan.attach(engine)
    engine.run(range(100), max_epochs=1)
    assert rates == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_minutes_before_a_resume_count(optimizer, clock):
    first = BudgetSchedule(optimizer, 1.0, minutes=4)
    clock.now += 60
    state = first.state_dict()
    clock.now += 10_000  # the machine was off
    second = BudgetSchedule(optimizer, 1.0, minutes=4)
    second.load_state_dict(state)
    assert second.progress(0) == pytest.approx(0.25)
    clock.now += 60
    assert second.progress(0) == pytest.approx(0.5)


def test_warm_up_of_a_run_of_minutes_ends_with_a_twentieth_of_them(optimizer, clock):
    plan = BudgetSchedule(optimizer, 1.0, minutes=10, warmup_steps=1000, final_lr=1.0)
    rates = []
    for seconds in (0, 3, 15, 30, 45):
        clock.now = 1000.0 + seconds
        rates.append(plan.rate(2))
    assert rates == pytest.approx([0.002, 0.1, 0.5, 1.0, 1.0])


def test_warm_up_of_a_run_of_minutes_ends_with_its_steps_if_they_come_first(optimizer, clock):
    plan = BudgetSchedule(optimizer, 1.0, minutes=10, warmup_steps=4, final_lr=1.0)
    clock.now += 3
    assert [plan.rate(i) for i in (1, 2, 4, 8)] == [0.25, 0.5, 1.0, 1.0]


def test_warm_up_of_a_run_of_steps_is_as_long_as_told(optimizer):
    plan = BudgetSchedule(optimizer, 1.0, steps=100, warmup_steps=50, final_lr=1.0)
    assert [plan.rate(i) for i in (5, 25, 50)] == [0.1, 0.5, 1.0]


@pytest.mark.parametrize("own", [0.0, 0.9])
def test_clock_of_the_first_process_rules(optimizer, clock, monkeypatch, own):
    plan = BudgetSchedule(optimizer, 1.0, minutes=1, warmup_steps=0, final_lr=0.0)
    others = iter([0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 1.0, 1.0])
    monkeypatch.setattr(schedule, "from_first", lambda value: next(others))
    rates = []

    def step(engine, _):
        clock.now = 1000.0 + own * 60
        rates.append(optimizer.param_groups[0]["lr"])

    engine = Engine(step)
    plan.attach(engine)
    engine.run(range(100), max_epochs=1)
    # Start of the epoch, then before and after each step.
    assert rates == pytest.approx([0.853553, 0.5, 0.5], abs=1e-6)


@pytest.mark.parametrize("budget", [{}, {"steps": 0}, {"steps": 5, "minutes": 1.0}])
def test_exactly_one_budget_is_taken(optimizer, budget):
    with pytest.raises(OptionError, match="give steps or minutes"):
        BudgetSchedule(optimizer, 1.0, **budget)
