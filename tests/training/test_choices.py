"""Options of training follow from one another as the table of docs/how-to/train.md says."""

from __future__ import annotations

import math

import pytest

from monai_sr.core.errors import OptionError
from monai_sr.training import (
    default_scale_weights,
    default_scales,
    default_steps,
    positive,
    positive_count,
    shared_handler,
    training_budget,
)


@pytest.mark.parametrize(("minutes", "steps"), [(0, 30000), (0.5, 0), (60, 0)])
def test_minutes_take_the_place_of_steps(minutes: float, steps: int) -> None:
    assert default_steps(30000, minutes) == steps


def test_a_budget_has_both_limits_and_a_dry_run_one_step() -> None:
    assert training_budget(5, 2.5) == {"steps": 5, "minutes": 2.5}
    assert training_budget(5, 2.5, dry_run=True) == {"steps": 1}


def test_measured_images_have_one_scale() -> None:
    assert default_scales([4, 2], 3) == [4, 2]
    assert default_scales([4, 2], 3, "small") == [3]
    assert default_scale_weights([0.7, 0.3]) == [0.7, 0.3]
    assert default_scale_weights([0.7, 0.3], "small") is None


def test_a_shared_handler_is_the_same_object() -> None:
    handler = object()
    assert shared_handler(handler) is handler


@pytest.mark.parametrize("value", [0, -1, "fast", None, True, math.inf, math.nan])
def test_rates_are_numbers_above_zero(value: float) -> None:
    assert positive(2.5e-4, "learning_rate") == 2.5e-4
    with pytest.raises(OptionError, match="learning_rate: must be a number above 0, got"):
        positive(value, "learning_rate")


@pytest.mark.parametrize("value", [0, -3, 1.5, "often", True])
def test_counts_are_whole_numbers_from_one_on(value: int) -> None:
    assert positive_count(3, "val_interval") == 3
    with pytest.raises(OptionError, match="val_interval: must be a whole number of at least 1"):
        positive_count(value, "val_interval")
