"""Where a curve crosses its threshold."""

from __future__ import annotations

import math

import pytest

from monai_sr.evaluation.lesion_figures import crossing_of

_CONTRASTS = [0.01, 0.04, 0.16]


def test_a_threshold_lies_between_contrasts_along_their_logarithm():
    assert crossing_of([0.5, 0.7, 0.8], _CONTRASTS) == pytest.approx(0.08)
    assert crossing_of([0.5, 0.75, 0.8], _CONTRASTS) == pytest.approx(0.04)
    assert crossing_of([0.65, 0.85, 0.7], _CONTRASTS) == pytest.approx(0.02)


def test_curves_that_are_above_or_below_everywhere_say_so():
    assert crossing_of([0.8, 0.9, 1.0], _CONTRASTS) == 0
    assert crossing_of([0.5, 0.6, 0.7], _CONTRASTS) == math.inf
