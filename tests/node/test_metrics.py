"""Counters: what was counted since the start, and the rate of the last minute."""

from __future__ import annotations

import pytest

from monai_sr.core import OptionError
from monai_sr.node.metrics import COUNTED, Metrics


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_everything_is_there_from_the_start() -> None:
    assert Metrics().snapshot() == {(name, ""): 0 for name in COUNTED}


def test_labels_are_counted_apart() -> None:
    metrics = Metrics()
    metrics.add("refused", label="A700")
    metrics.add("refused", label="C000")
    metrics.add("refused", label="C000")
    found = metrics.snapshot()
    assert (found["refused", "A700"], found["refused", "C000"]) == (1, 2)
    assert ("refused", "") not in found


def test_an_unknown_counter_is_refused() -> None:
    with pytest.raises(OptionError, match="did you mean 'received'"):
        Metrics().add("recieved")


def test_the_rate_is_that_of_the_last_minute() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    clock.now = 30.0
    for _ in range(10):
        metrics.add("studies")
    assert metrics.studies_a_minute() == 20  # ten in half a minute
    clock.now = 80.0
    assert metrics.studies_a_minute() == 10
    clock.now = 91.0
    assert metrics.studies_a_minute() == 0
