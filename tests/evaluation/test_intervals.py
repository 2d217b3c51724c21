"""Bootstrap intervals: against the normal theory, by patient, and without figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_sr.evaluation.intervals import mean_interval


def test_interval_equals_the_normal_one_for_many_images():
    values = np.random.default_rng(0).normal(30, 2, 400)
    found = mean_interval(list(values), [str(i) for i in range(400)])
    error = 1.96 * values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - error, abs=0.03)
    assert found.high == pytest.approx(values.mean() + error, abs=0.03)


def test_images_of_one_patient_are_drawn_together():
    values = [1.0] * 10 + [3.0] * 10
    alone = mean_interval(values, [str(i) for i in range(20)])
    together = mean_interval(values, ["a"] * 10 + ["b"] * 10)
    assert together.mean == alone.mean == 2
    # Two patients: one of four draws takes the same one twice.
    assert (together.low, together.high) == (1, 3)
    assert 1.4 < alone.low < alone.high < 2.6


def test_patients_with_many_images_weigh_as_many():
    found = mean_interval([1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"])
    assert found.mean == 2


def test_the_same_seed_gives_the_same_interval():
    values = list(np.random.default_rng(0).normal(size=30))
    owners = [str(i) for i in range(30)]
    assert mean_interval(values, owners, seed=3) == mean_interval(values, owners, seed=3)
    assert mean_interval(values, owners, seed=3) != mean_interval(values, owners, seed=4)


def test_infinite_and_missing_figures_are_left_out_and_counted():
    found = mean_interval([30.0, math.inf, math.nan, 32.0], list("abcd"))
    assert (found.mean, found.images, found.infinite, found.missing) == (31, 2, 1, 1)


def test_one_patient_has_no_interval_and_nothing_has_no_mean():
    assert math.isnan(mean_interval([1.0, 2.0], ["a", "a"]).low)
    assert math.isnan(mean_interval([math.nan], ["a"]).mean)
    assert mean_interval([math.inf], ["a"]).mean == math.inf
